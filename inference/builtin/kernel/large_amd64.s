#include "textflag.h"
#include "large_amd64.h"

// Blocks of 256. The sums of a block are whole numbers, so their order does not
// matter and they are those of the portable code to the bit. Each group of 32
// values (16 in Q6_K) has a scale, which multiplies the products when they are
// added in pairs (VPMADDWD).

// HEADERMIN's shifts (32 leaves nothing) and masks.
DATA packed<>+0(SB)/8, $0
DATA packed<>+8(SB)/8, $0x0000000400000000
DATA packed<>+16(SB)/8, $0x0000000200000020
DATA packed<>+24(SB)/8, $0x0000000200000020
DATA packed<>+32(SB)/8, $0x0f0f0f0f3f3f3f3f
DATA packed<>+40(SB)/8, $0x0f0f0f0f3f3f3f3f
DATA packed<>+48(SB)/8, $0x3030303030303030
DATA packed<>+56(SB)/8, $0x3030303030303030
GLOBL packed<>(SB), RODATA|NOPTR, $64

// --- rows with one vector -----------------------------------------------------

// func q4kRowsAVX2(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)
TEXT ·q4kRowsAVX2(SB), NOSPLIT, $64-56
	LARGEROWS
row:
	LARGEROWBEGIN
block:
	HEADERMIN
	VPXOR Y0, Y0, Y0
	LEAQ  16(BX), SI
	EACHQ4K(ADDGROUP)
	LARGEBLOCKEND(144)
	JNZ block
	LARGEROWEND
	JNZ row
	VZEROUPPER
	RET

// func q5kRowsAVX2(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)
TEXT ·q5kRowsAVX2(SB), NOSPLIT, $64-56
	LARGEROWS
row:
	LARGEROWBEGIN
block:
	HEADERMIN
	VPXOR Y0, Y0, Y0
	LEAQ  16(BX), CX
	LEAQ  48(BX), SI
	EACHQ5K(ADDGROUP)
	LARGEBLOCKEND(176)
	JNZ block
	LARGEROWEND
	JNZ row
	VZEROUPPER
	RET

// func q6kRowsAVX2(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)
TEXT ·q6kRowsAVX2(SB), NOSPLIT, $64-56
	LARGEROWS
row:
	LARGEROWBEGIN
block:
	HEADERQ6K
	VPXOR Y0, Y0, Y0
	MOVQ  BX, SI
	LEAQ  128(BX), CX
	EACHQ6K(ADDSIGNED)
	LARGEBLOCKEND(210)
	JNZ block
	LARGEROWEND
	JNZ row
	VZEROUPPER
	RET

// --- blocks' values times their scales, written out -----------------------------

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
