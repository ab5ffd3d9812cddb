#include "textflag.h"
#include "neon_arm64.h"

// Blocks of 256, in whole numbers: the sum of products of each group, times the
// group's scale. Values are at most 63 in size, so four products with bytes fit
// in 16 bits: 4·63·127 is below 2^15.

// GROUP adds the 32 products of V2, V3 with V6, V7, times lane i of scales s.
#define GROUP(s, i) \
	SMULL(10, 2, 6) \
	SMLAL2(10, 2, 6) \
	SMLAL(10, 3, 7) \
	SMLAL2(10, 3, 7) \
	SADDLP(10, 10) \
	MLALANE(31, 10, s, i)

// LOW and HIGH are the halves of the bytes in V0 and V1.
#define LOW \
	VAND V30.B16, V0.B16, V2.B16 \
	VAND V30.B16, V1.B16, V3.B16

#define HIGH \
	VUSHR $4, V0.B16, V2.B16 \
	VUSHR $4, V1.B16, V3.B16

#define ACTIVATIONS VLD1.P 32(R1), [V6.B16, V7.B16]

#define PAIR4(s, i, j) \
	VLD1.P 32(R0), [V0.B16, V1.B16] \
	LOW \
	ACTIVATIONS \
	GROUP(s, i) \
	HIGH \
	ACTIVATIONS \
	GROUP(s, j)

// FIFTH puts the lowest bits of V24, V25 above the four of V2, V3, and moves on
// to the next bits.
#define FIFTH \
	VAND  V29.B16, V24.B16, V26.B16 \
	VAND  V29.B16, V25.B16, V27.B16 \
	VSHL  $4, V26.B16, V26.B16 \
	VSHL  $4, V27.B16, V27.B16 \
	VORR  V26.B16, V2.B16, V2.B16 \
	VORR  V27.B16, V3.B16, V3.B16 \
	VUSHR $1, V24.B16, V24.B16 \
	VUSHR $1, V25.B16, V25.B16

#define PAIR5(s, i, j) \
	VLD1.P 32(R0), [V0.B16, V1.B16] \
	LOW \
	FIFTH \
	ACTIVATIONS \
	GROUP(s, i) \
	HIGH \
	FIFTH \
	ACTIVATIONS \
	GROUP(s, j)

// SCALES loads eight scales as 32 bits into V20 and V21.
#define SCALES \
	VLD1.P 16(R2), [V22.B16] \
	SXTL(20, 22) \
	SXTL2(21, 22)

// func dotBlockQ4K(q *byte, x *int8, scales *int16) int32
TEXT ·dotBlockQ4K(SB), NOSPLIT, $0-28
	MOVD  q+0(FP), R0
	MOVD  x+8(FP), R1
	MOVD  scales+16(FP), R2
	VMOVI $15, V30.B16
	VEOR  V31.B16, V31.B16, V31.B16
	SCALES
	PAIR4(20, 0, 1)
	PAIR4(20, 2, 3)
	PAIR4(21, 0, 1)
	PAIR4(21, 2, 3)
	ADDV(31, 31)
	FMOVS F31, ret+24(FP)
	RET

// func dotBlockQ5K(q, fifth *byte, x *int8, scales *int16) int32
TEXT ·dotBlockQ5K(SB), NOSPLIT, $0-36
	MOVD  q+0(FP), R0
	MOVD  fifth+8(FP), R3
	MOVD  x+16(FP), R1
	MOVD  scales+24(FP), R2
	VMOVI $15, V30.B16
	VMOVI $1, V29.B16
	VEOR  V31.B16, V31.B16, V31.B16
	VLD1  (R3), [V24.B16, V25.B16]
	SCALES
	PAIR5(20, 0, 1)
	PAIR5(20, 2, 3)
	PAIR5(21, 0, 1)
	PAIR5(21, 2, 3)
	ADDV(31, 31)
	FMOVS F31, ret+32(FP)
	RET

// SIXTEENS adds the products of the 32 values in V2, V3, of which each sixteen
// have a scale: lanes i and j of scales s. The high two bits are the lowest of
// V24, V25, which move on.
#define SIXTEENS(s, i, j) \
	VAND  V29.B16, V24.B16, V26.B16 \
	VAND  V29.B16, V25.B16, V27.B16 \
	VSHL  $4, V26.B16, V26.B16 \
	VSHL  $4, V27.B16, V27.B16 \
	VORR  V26.B16, V2.B16, V2.B16 \
	VORR  V27.B16, V3.B16, V3.B16 \
	VSUB  V28.B16, V2.B16, V2.B16 \
	VSUB  V28.B16, V3.B16, V3.B16 \
	VUSHR $2, V24.B16, V24.B16 \
	VUSHR $2, V25.B16, V25.B16 \
	ACTIVATIONS \
	SMULL(10, 2, 6) \
	SMLAL2(10, 2, 6) \
	SADDLP(10, 10) \
	MLALANE(31, 10, s, i) \
	SMULL(11, 3, 7) \
	SMLAL2(11, 3, 7) \
	SADDLP(11, 11) \
	MLALANE(31, 11, s, j)

// func dotBlockQ6K(low, high *byte, x *int8, scales *int16) int32
TEXT ·dotBlockQ6K(SB), NOSPLIT, $0-36
	MOVD  low+0(FP), R0
	MOVD  high+8(FP), R3
	MOVD  x+16(FP), R1
	MOVD  scales+24(FP), R2
	MOVD  $2, R4
	VMOVI $15, V30.B16
	VMOVI $3, V29.B16
	VMOVI $32, V28.B16
	VEOR  V31.B16, V31.B16, V31.B16

half:
	SCALES
	VLD1.P 32(R3), [V24.B16, V25.B16]
	VLD1.P 64(R0), [V12.B16, V13.B16, V14.B16, V15.B16]
	VAND   V30.B16, V12.B16, V2.B16
	VAND   V30.B16, V13.B16, V3.B16
	SIXTEENS(20, 0, 1)
	VAND   V30.B16, V14.B16, V2.B16
	VAND   V30.B16, V15.B16, V3.B16
	SIXTEENS(20, 2, 3)
	VUSHR  $4, V12.B16, V2.B16
	VUSHR  $4, V13.B16, V3.B16
	SIXTEENS(21, 0, 1)
	VUSHR  $4, V14.B16, V2.B16
	VUSHR  $4, V15.B16, V3.B16
	SIXTEENS(21, 2, 3)
	SUBS   $1, R4
	BGT    half
	ADDV(31, 31)
	FMOVS  F31, ret+32(FP)
	RET
