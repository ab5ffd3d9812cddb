#include "textflag.h"
#include "wide_amd64.h"

// As in dot_amd64.s, with one chain of sixteen sums for each pair of row and
// vector. All lengths are multiples of 16.

// func dotFloatsAVX512(a, b *float32, n int) float32
TEXT ·dotFloatsAVX512(SB), NOSPLIT, $0-28
	MOVQ   a+0(FP), SI
	MOVQ   b+8(FP), DI
	MOVQ   n+16(FP), CX
	VPXORD Z16, Z16, Z16
loop:
	VMOVUPS     (SI), Z2
	VFMADD231PS (DI), Z2, Z16
	ADDQ        $64, SI
	ADDQ        $64, DI
	SUBQ        $16, CX
	JNZ         loop
	SUM512(Z16, Y16)
	VMOVSS      X0, ret+24(FP)
	VZEROUPPER
	RET

// func addScaledAVX512(dst, x *float32, n int, s float32)
TEXT ·addScaledAVX512(SB), NOSPLIT, $0-28
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS s+24(FP), Z2
loop:
	VMOVUPS     (DI), Z0
	VFMADD231PS (SI), Z2, Z0
	VMOVUPS     Z0, (DI)
	ADDQ        $64, SI
	ADDQ        $64, DI
	SUBQ        $16, CX
	JNZ         loop
	VZEROUPPER
	RET

// func f32Rows512(out *float32, w *byte, rows int, x *float32, n int)
TEXT ·f32Rows512(SB), NOSPLIT, $0-40
	FLOATROWS
row:
	FLOATROWBEGIN
loop:
	FLOATSTEP(LOADF32, 64)
	JLT loop
	FLOATROWEND
	JNZ row
	VZEROUPPER
	RET

// func f32Tile512(out *[16]float32, w *byte, stride int, v *columns, n int)
TEXT ·f32Tile512(SB), NOSPLIT, $0-40
	FLOATTILE
loop:
	FLOATTILESTEP(LOADF32, 64)
	JLT loop
	STORE16
	RET

// func f16Rows512(out *float32, w *byte, rows int, x *float32, n int)
TEXT ·f16Rows512(SB), NOSPLIT, $0-40
	FLOATROWS
row:
	FLOATROWBEGIN
loop:
	FLOATSTEP(LOADF16, 32)
	JLT loop
	FLOATROWEND
	JNZ row
	VZEROUPPER
	RET

// func f16Tile512(out *[16]float32, w *byte, stride int, v *columns, n int)
TEXT ·f16Tile512(SB), NOSPLIT, $0-40
	FLOATTILE
loop:
	FLOATTILESTEP(LOADF16, 32)
	JLT loop
	STORE16
	RET

// func bf16Rows512(out *float32, w *byte, rows int, x *float32, n int)
TEXT ·bf16Rows512(SB), NOSPLIT, $0-40
	FLOATROWS
row:
	FLOATROWBEGIN
loop:
	FLOATSTEP(LOADBF16, 32)
	JLT loop
	FLOATROWEND
	JNZ row
	VZEROUPPER
	RET

// func bf16Tile512(out *[16]float32, w *byte, stride int, v *columns, n int)
TEXT ·bf16Tile512(SB), NOSPLIT, $0-40
	FLOATTILE
loop:
	FLOATTILESTEP(LOADBF16, 32)
	JLT loop
	STORE16
	RET
