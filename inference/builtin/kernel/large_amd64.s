#include "textflag.h"
#include "large_amd64.h"

// The sums of one block of 256: whole numbers, so their order does not matter
// and they are those of the portable code to the bit. Each group of 32 values
// (16 in Q6_K) has a scale, which multiplies the products when they are added
// in pairs (VPMADDWD).

// func dotBlockQ4K(q *byte, x *int8, scales *int16) int32
// q is the 128 bytes of 4-bit values.
TEXT ·dotBlockQ4K(SB), NOSPLIT, $0-28
	MOVQ q+0(FP), SI
	MOVQ x+8(FP), DI
	MOVQ scales+16(FP), DX
	NIBBLEMASK
	VPXOR Y0, Y0, Y0
	NIBBLES(0)
	ADDGROUP(Y1, 0, 0)
	ADDGROUP(Y2, 32, 2)
	NIBBLES(32)
	ADDGROUP(Y1, 64, 4)
	ADDGROUP(Y2, 96, 6)
	NIBBLES(64)
	ADDGROUP(Y1, 128, 8)
	ADDGROUP(Y2, 160, 10)
	NIBBLES(96)
	ADDGROUP(Y1, 192, 12)
	ADDGROUP(Y2, 224, 14)
	TOTAL
	MOVL AX, ret+24(FP)
	VZEROUPPER
	RET

// func dotBlockQ5K(q, fifth *byte, x *int8, scales *int16) int32
// fifth is the 32 bytes of fifth bits: bit g of byte i is value i's of group g.
TEXT ·dotBlockQ5K(SB), NOSPLIT, $0-36
	MOVQ q+0(FP), SI
	MOVQ fifth+8(FP), CX
	MOVQ x+16(FP), DI
	MOVQ scales+24(FP), DX
	NIBBLEMASK
	VPCMPEQB Y13, Y13, Y13
	VPABSB   Y13, Y13      // ones
	VPSLLW   $4, Y13, Y13  // sixteens
	VMOVDQU  (CX), Y12
	VPXOR    Y0, Y0, Y0
	NIBBLES(0)
	VPSLLW $4, Y12, Y3
	VPAND Y13, Y3, Y3
	VPOR  Y3, Y1, Y1
	ADDGROUP(Y1, 0, 0)
	VPSLLW $3, Y12, Y3
	VPAND Y13, Y3, Y3
	VPOR  Y3, Y2, Y2
	ADDGROUP(Y2, 32, 2)
	NIBBLES(32)
	VPSLLW $2, Y12, Y3
	VPAND Y13, Y3, Y3
	VPOR  Y3, Y1, Y1
	ADDGROUP(Y1, 64, 4)
	VPSLLW $1, Y12, Y3
	VPAND Y13, Y3, Y3
	VPOR  Y3, Y2, Y2
	ADDGROUP(Y2, 96, 6)
	NIBBLES(64)
	VPSRLW $0, Y12, Y3
	VPAND Y13, Y3, Y3
	VPOR  Y3, Y1, Y1
	ADDGROUP(Y1, 128, 8)
	VPSRLW $1, Y12, Y3
	VPAND Y13, Y3, Y3
	VPOR  Y3, Y2, Y2
	ADDGROUP(Y2, 160, 10)
	NIBBLES(96)
	VPSRLW $2, Y12, Y3
	VPAND Y13, Y3, Y3
	VPOR  Y3, Y1, Y1
	ADDGROUP(Y1, 192, 12)
	VPSRLW $3, Y12, Y3
	VPAND Y13, Y3, Y3
	VPOR  Y3, Y2, Y2
	ADDGROUP(Y2, 224, 14)
	TOTAL
	MOVL AX, ret+32(FP)
	VZEROUPPER
	RET

// func dotBlockQ6K(low, high *byte, x *int8, scales *int16) int32
// low is 128 bytes of low halves, high 64 of two high bits each; there are 16
// scales.
TEXT ·dotBlockQ6K(SB), NOSPLIT, $0-36
	MOVQ low+0(FP), SI
	MOVQ high+8(FP), CX
	MOVQ x+16(FP), DI
	MOVQ scales+24(FP), DX
	NIBBLEMASK
	VPCMPEQB Y13, Y13, Y13
	VPABSB   Y13, Y13
	VPSLLW   $5, Y13, Y11 // 32s
	VPSLLW   $4, Y13, Y10
	VPOR     Y10, Y11, Y13 // 48s: the mask of two bits in place
	VPXOR    Y0, Y0, Y0
	VMOVDQU 0(CX), Y12
	NIBBLES(0)
	VPSLLW $4, Y12, Y3
	VPAND  Y13, Y3, Y3
	VPOR   Y3, Y1, Y1
	VPSUBB Y11, Y1, Y1
	ADDSIGNED(Y1, 0, 0, 2)
	VMOVDQA Y12, Y3
	VPAND  Y13, Y3, Y3
	VPOR   Y3, Y2, Y2
	VPSUBB Y11, Y2, Y2
	ADDSIGNED(Y2, 64, 8, 10)
	NIBBLES(32)
	VPSLLW $2, Y12, Y3
	VPAND  Y13, Y3, Y3
	VPOR   Y3, Y1, Y1
	VPSUBB Y11, Y1, Y1
	ADDSIGNED(Y1, 32, 4, 6)
	VPSRLW $2, Y12, Y3
	VPAND  Y13, Y3, Y3
	VPOR   Y3, Y2, Y2
	VPSUBB Y11, Y2, Y2
	ADDSIGNED(Y2, 96, 12, 14)
	VMOVDQU 32(CX), Y12
	NIBBLES(64)
	VPSLLW $4, Y12, Y3
	VPAND  Y13, Y3, Y3
	VPOR   Y3, Y1, Y1
	VPSUBB Y11, Y1, Y1
	ADDSIGNED(Y1, 128, 16, 18)
	VMOVDQA Y12, Y3
	VPAND  Y13, Y3, Y3
	VPOR   Y3, Y2, Y2
	VPSUBB Y11, Y2, Y2
	ADDSIGNED(Y2, 192, 24, 26)
	NIBBLES(96)
	VPSLLW $2, Y12, Y3
	VPAND  Y13, Y3, Y3
	VPOR   Y3, Y1, Y1
	VPSUBB Y11, Y1, Y1
	ADDSIGNED(Y1, 160, 20, 22)
	VPSRLW $2, Y12, Y3
	VPAND  Y13, Y3, Y3
	VPOR   Y3, Y2, Y2
	VPSUBB Y11, Y2, Y2
	ADDSIGNED(Y2, 224, 28, 30)
	TOTAL
	MOVL AX, ret+32(FP)
	VZEROUPPER
	RET
