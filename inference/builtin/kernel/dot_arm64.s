#include "textflag.h"
#include "neon_arm64.h"

// Floats: sixteen values a round, in four sums.
#define CLEAR \
	VEOR V28.B16, V28.B16, V28.B16 \
	VEOR V29.B16, V29.B16, V29.B16 \
	VEOR V30.B16, V30.B16, V30.B16 \
	VEOR V31.B16, V31.B16, V31.B16

#define MULTIPLY \
	FMLA(28, 4, 16) \
	FMLA(29, 5, 17) \
	FMLA(30, 6, 18) \
	FMLA(31, 7, 19)

#define TOTAL \
	FADD(28, 28, 30) \
	FADD(29, 29, 31) \
	FADD(28, 28, 29) \
	FADDP(28, 28, 28) \
	FADDP(28, 28, 28)

// func dotF32NEON(w *byte, x *float32, n int) float32
TEXT ·dotF32NEON(SB), NOSPLIT, $0-28
	MOVD w+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	CLEAR

f32:
	VLD1.P 64(R0), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R1), [V16.S4, V17.S4, V18.S4, V19.S4]
	MULTIPLY
	SUBS   $16, R2
	BGT    f32
	TOTAL
	FMOVS  F28, ret+24(FP)
	RET

// func dotF16NEON(w *byte, x *float32, n int) float32
TEXT ·dotF16NEON(SB), NOSPLIT, $0-28
	MOVD w+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	CLEAR

f16:
	VLD1.P 32(R0), [V0.B16, V1.B16]
	VLD1.P 64(R1), [V16.S4, V17.S4, V18.S4, V19.S4]
	FCVTL(4, 0)
	FCVTL2(5, 0)
	FCVTL(6, 1)
	FCVTL2(7, 1)
	MULTIPLY
	SUBS   $16, R2
	BGT    f16
	TOTAL
	FMOVS  F28, ret+24(FP)
	RET

// func dotBF16NEON(w *byte, x *float32, n int) float32
TEXT ·dotBF16NEON(SB), NOSPLIT, $0-28
	MOVD w+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2
	CLEAR

bf16:
	VLD1.P 32(R0), [V0.B16, V1.B16]
	VLD1.P 64(R1), [V16.S4, V17.S4, V18.S4, V19.S4]
	SHLL(4, 0)
	SHLL2(5, 0)
	SHLL(6, 1)
	SHLL2(7, 1)
	MULTIPLY
	SUBS   $16, R2
	BGT    bf16
	TOTAL
	FMOVS  F28, ret+24(FP)
	RET

// func addScaledNEON(dst, x *float32, n int, s float32)
TEXT ·addScaledNEON(SB), NOSPLIT, $0-28
	MOVD  dst+0(FP), R0
	MOVD  x+8(FP), R1
	MOVD  n+16(FP), R2
	FMOVS s+24(FP), F0

add:
	VLD1   (R0), [V4.S4, V5.S4]
	VLD1.P 32(R1), [V6.S4, V7.S4]
	FMLALANE(4, 6, 0, 0)
	FMLALANE(5, 7, 0, 0)
	VST1.P [V4.S4, V5.S4], 32(R0)
	SUBS   $8, R2
	BGT    add
	RET

// Blocks of 32. Products of two bytes fit in 16 bits twice: 2·128·127 is below
// 2^15. Each of four sums takes eight products of a block; they become floats
// once a block, times both scales.

// func dotQ8NEON(w *byte, q *int8, d *float32, blocks int) float32
TEXT ·dotQ8NEON(SB), NOSPLIT, $0-36
	MOVD w+0(FP), R0
	MOVD q+8(FP), R1
	MOVD d+16(FP), R2
	MOVD blocks+24(FP), R3
	VEOR V31.B16, V31.B16, V31.B16

q8:
	MOVHU  (R0), R4
	ADD    $2, R0
	FMOVS  R4, F4
	FCVTSH(4, 4)
	FMOVS  (R2), F5
	ADD    $4, R2
	FMULS  F4, F5, F5
	VLD1.P 32(R0), [V0.B16, V1.B16]
	VLD1.P 32(R1), [V2.B16, V3.B16]
	SMULL(6, 0, 2)
	SMLAL2(6, 0, 2)
	SMULL(7, 1, 3)
	SMLAL2(7, 1, 3)
	SADDLP(6, 6)
	SADALP(6, 7)
	SCVTF(6, 6)
	FMLALANE(31, 6, 5, 0)
	SUBS   $1, R3
	BGT    q8
	FADDP(31, 31, 31)
	FADDP(31, 31, 31)
	FMOVS  F31, ret+32(FP)
	RET

// func dotQ4NEON(w *byte, q *int8, d *float32, blocks int) float32
TEXT ·dotQ4NEON(SB), NOSPLIT, $0-36
	MOVD  w+0(FP), R0
	MOVD  q+8(FP), R1
	MOVD  d+16(FP), R2
	MOVD  blocks+24(FP), R3
	VEOR  V31.B16, V31.B16, V31.B16
	VMOVI $15, V30.B16
	VMOVI $8, V29.B16

q4:
	MOVHU  (R0), R4
	ADD    $2, R0
	FMOVS  R4, F4
	FCVTSH(4, 4)
	FMOVS  (R2), F5
	ADD    $4, R2
	FMULS  F4, F5, F5
	VLD1.P 16(R0), [V0.B16]
	VLD1.P 32(R1), [V2.B16, V3.B16]
	VUSHR  $4, V0.B16, V1.B16
	VAND   V30.B16, V0.B16, V0.B16
	VSUB   V29.B16, V0.B16, V0.B16
	VSUB   V29.B16, V1.B16, V1.B16
	SMULL(6, 0, 2)
	SMLAL2(6, 0, 2)
	SMULL(7, 1, 3)
	SMLAL2(7, 1, 3)
	SADDLP(6, 6)
	SADALP(6, 7)
	SCVTF(6, 6)
	FMLALANE(31, 6, 5, 0)
	SUBS   $1, R3
	BGT    q4
	FADDP(31, 31, 31)
	FADDP(31, 31, 31)
	FMOVS  F31, ret+32(FP)
	RET
