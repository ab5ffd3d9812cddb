#include "textflag.h"
#include "dot_amd64.h"

// All kernels here keep one chain of eight float32 sums for each pair of row
// and vector, go over it from the beginning to the end, and add the eight at
// last in one order (SUM). So the number does not depend on how many pairs a
// kernel does at once.

// --- float32 vectors -------------------------------------------------------

// func dotFloatsAVX2(a, b *float32, n int) float32
// n is a multiple of 8.
TEXT ·dotFloatsAVX2(SB), NOSPLIT, $0-28
	MOVQ   a+0(FP), SI
	MOVQ   b+8(FP), DI
	MOVQ   n+16(FP), CX
	VXORPS Y0, Y0, Y0
loop:
	VMOVUPS     (SI), Y1
	VFMADD231PS (DI), Y1, Y0
	ADDQ        $32, SI
	ADDQ        $32, DI
	SUBQ        $8, CX
	JNZ         loop
	SUM(Y0, X0, X1)
	VMOVSS      X0, ret+24(FP)
	VZEROUPPER
	RET

// func addScaledAVX2(dst, x *float32, n int, s float32)
// n is a multiple of 8.
TEXT ·addScaledAVX2(SB), NOSPLIT, $0-28
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS s+24(FP), Y2
loop:
	VMOVUPS     (DI), Y0
	VFMADD231PS (SI), Y2, Y0
	VMOVUPS     Y0, (DI)
	ADDQ        $32, SI
	ADDQ        $32, DI
	SUBQ        $8, CX
	JNZ         loop
	VZEROUPPER
	RET

// --- float rows: the loop is the same, only the load of weights differs ------

// func f32Rows4(out *float32, w *byte, stride int, x *float32, n int)
TEXT ·f32Rows4(SB), NOSPLIT, $0-40
	ROWS4
loop:
	FLOATROWS(LOADF32, 4)
	CMPQ BX, CX
	JLT  loop
	STORE4
	RET

// func f32Cols4(out *float32, w *byte, x0, x1, x2, x3 *float32, n int)
TEXT ·f32Cols4(SB), NOSPLIT, $0-56
	COLS4
loop:
	FLOATCOLS(LOADF32, 4)
	CMPQ BX, CX
	JLT  loop
	STORE4
	RET

// func f16Rows4(out *float32, w *byte, stride int, x *float32, n int)
TEXT ·f16Rows4(SB), NOSPLIT, $0-40
	ROWS4
loop:
	FLOATROWS(LOADF16, 2)
	CMPQ BX, CX
	JLT  loop
	STORE4
	RET

// func f16Cols4(out *float32, w *byte, x0, x1, x2, x3 *float32, n int)
TEXT ·f16Cols4(SB), NOSPLIT, $0-56
	COLS4
loop:
	FLOATCOLS(LOADF16, 2)
	CMPQ BX, CX
	JLT  loop
	STORE4
	RET

// func bf16Rows4(out *float32, w *byte, stride int, x *float32, n int)
TEXT ·bf16Rows4(SB), NOSPLIT, $0-40
	ROWS4
loop:
	FLOATROWS(LOADBF16, 2)
	CMPQ BX, CX
	JLT  loop
	STORE4
	RET

// func bf16Cols4(out *float32, w *byte, x0, x1, x2, x3 *float32, n int)
TEXT ·bf16Cols4(SB), NOSPLIT, $0-56
	COLS4
loop:
	FLOATCOLS(LOADBF16, 2)
	CMPQ BX, CX
	JLT  loop
	STORE4
	RET

// --- Q8_0 and Q4_0 -----------------------------------------------------------

// func q8Cols4(out *float32, w *byte, v *columns, blocks int)
TEXT ·q8Cols4(SB), NOSPLIT, $0-32
	BLOCKCOLS4
	ONES
loop:
	COLSSTEP(LOADQ8, 34)
	JLT loop
	STORE4
	RET

// func q4Cols4(out *float32, w *byte, v *columns, blocks int)
TEXT ·q4Cols4(SB), NOSPLIT, $0-32
	BLOCKCOLS4
	ONES
	NIBBLES
loop:
	COLSSTEP(LOADQ4, 18)
	JLT loop
	STORE4
	RET

// func q8Rows(out *float32, w *byte, rows int, q *int8, d *float32, blocks int)
TEXT ·q8Rows(SB), NOSPLIT, $0-48
	BLOCKROWS
	ONES
row:
	ROWBEGIN
loop:
	ROWSTEP(LOADQ8, 34)
	JNZ loop
	ROWEND
	JNZ row
	VZEROUPPER
	RET

// func q4Rows(out *float32, w *byte, rows int, q *int8, d *float32, blocks int)
TEXT ·q4Rows(SB), NOSPLIT, $0-48
	BLOCKROWS
	ONES
	NIBBLES
row:
	ROWBEGIN
loop:
	ROWSTEP(LOADQ4, 18)
	JNZ loop
	ROWEND
	JNZ row
	VZEROUPPER
	RET
