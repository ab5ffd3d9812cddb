#include "textflag.h"
#include "large_amd64.h"

// The sums of one block of 256: whole numbers, so their order does not matter
// and they are those of the portable code to the bit. Each group of 32 values
// (16 in Q6_K) has a scale, which multiplies the products when they are added
// in pairs (VPMADDWD).

// func dotBlockQ4K(q *byte, x *int8, scales *int16) int32
// q is the 128 bytes of 4-bit values.
TEXT ·dotBlockQ4K(SB), NOSPLIT, $0-28
	MOVQ  q+0(FP), SI
	MOVQ  x+8(FP), DI
	MOVQ  scales+16(FP), DX
	VPXOR Y0, Y0, Y0
	EACHQ4K(ADDGROUP)
	TOTAL
	MOVL AX, ret+24(FP)
	VZEROUPPER
	RET

// func dotBlockQ5K(q, fifth *byte, x *int8, scales *int16) int32
TEXT ·dotBlockQ5K(SB), NOSPLIT, $0-36
	MOVQ  q+0(FP), SI
	MOVQ  fifth+8(FP), CX
	MOVQ  x+16(FP), DI
	MOVQ  scales+24(FP), DX
	VPXOR Y0, Y0, Y0
	EACHQ5K(ADDGROUP)
	TOTAL
	MOVL AX, ret+32(FP)
	VZEROUPPER
	RET

// func dotBlockQ6K(low, high *byte, x *int8, scales *int16) int32
// low is 128 bytes of low halves, high 64 of two high bits each; there are 16
// scales.
TEXT ·dotBlockQ6K(SB), NOSPLIT, $0-36
	MOVQ  low+0(FP), SI
	MOVQ  high+8(FP), CX
	MOVQ  x+16(FP), DI
	MOVQ  scales+24(FP), DX
	VPXOR Y0, Y0, Y0
	EACHQ6K(ADDSIGNED)
	TOTAL
	MOVL AX, ret+32(FP)
	VZEROUPPER
	RET

// --- blocks' values times their scales, written out -----------------------------

// SCALESMINIMA's shifts (32 leaves nothing) and masks.
DATA packed<>+0(SB)/8, $0
DATA packed<>+8(SB)/8, $0x0000000400000000
DATA packed<>+16(SB)/8, $0x0000000200000020
DATA packed<>+24(SB)/8, $0x0000000200000020
DATA packed<>+32(SB)/8, $0x0f0f0f0f3f3f3f3f
DATA packed<>+40(SB)/8, $0x0f0f0f0f3f3f3f3f
DATA packed<>+48(SB)/8, $0x3030303030303030
DATA packed<>+56(SB)/8, $0x3030303030303030
GLOBL packed<>(SB), RODATA|NOPTR, $64

// func spreadQ4K(q *int16, headers *largeHeader, w *byte, blocks int)
TEXT ·spreadQ4K(SB), NOSPLIT, $32-32
	SPREADBEGIN
block:
	HEADERMIN
	LEAQ 16(BX), SI
	EACHQ4K(SPREADGROUP)
	SPREADNEXT(144)
	JNZ block
	VZEROUPPER
	RET

// func spreadQ5K(q *int16, headers *largeHeader, w *byte, blocks int)
TEXT ·spreadQ5K(SB), NOSPLIT, $32-32
	SPREADBEGIN
block:
	HEADERMIN
	LEAQ 16(BX), CX
	LEAQ 48(BX), SI
	EACHQ5K(SPREADGROUP)
	SPREADNEXT(176)
	JNZ block
	VZEROUPPER
	RET

// func spreadQ6K(q *int16, headers *largeHeader, w *byte, blocks int)
TEXT ·spreadQ6K(SB), NOSPLIT, $32-32
	SPREADBEGIN
block:
	HEADERQ6K
	MOVQ BX, SI
	LEAQ 128(BX), CX
	EACHQ6K(SPREADSIGNED)
	SPREADNEXT(210)
	JNZ block
	VZEROUPPER
	RET

// func multiplyTileAVX2(tile *largeTile, group *largeGroup, rows, blocks int)
TEXT ·multiplyTileAVX2(SB), NOSPLIT, $0-32
	MOVQ tile+0(FP), SI
	MOVQ group+8(FP), DI
	MOVQ rows+16(FP), R13
	MOVQ blocks+24(FP), CX
	LEAQ 65536(SI), R12     // the headers
	LEAQ 352(DI), DX        // the totals
	MOVQ 0(DI), R8
	MOVQ 8(DI), R9
	MOVQ 16(DI), R10
	MOVQ 24(DI), R11
	SHLQ $4, CX
row:
	VMOVUPS (DX), X10
	XORQ    AX, AX          // 16 for each block
	XORQ    BX, BX          // 512 for each block
block:
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
step:
	TILESTEP(0)
	TILESTEP(32)
	TILESTEP(64)
	TILESTEP(96)
	ADDQ  $128, BX
	TESTQ $511, BX
	JNZ   step
	FOURSUMS(Y0, Y1, Y2, Y3, X0, X1)
	LESS(0)
	ADDBLOCK(0, X0, X10)
	ADDQ $16, AX
	CMPQ AX, CX
	JLT  block
	VMOVUPS X10, (DX)
	ADDQ $2048, SI
	ADDQ $128, R12
	ADDQ $16, DX
	DECQ R13
	JNZ  row
	VZEROUPPER
	RET
