#include "textflag.h"

// As exp in exp.go, eight at a time.

DATA exp<>+0(SB)/4, $0x3fb8aa3b // log2(e)
DATA exp<>+4(SB)/4, $0x3f317200 // ln 2, the larger part
DATA exp<>+8(SB)/4, $0x35bfbe8e // and the rest
DATA exp<>+12(SB)/4, $0x39500d01 // 1/7!
DATA exp<>+16(SB)/4, $0x3ab60b61 // 1/6!
DATA exp<>+20(SB)/4, $0x3c088889 // 1/5!
DATA exp<>+24(SB)/4, $0x3d2aaaab // 1/4!
DATA exp<>+28(SB)/4, $0x3e2aaaab // 1/3!
DATA exp<>+32(SB)/4, $0x3f000000 // 1/2!
DATA exp<>+36(SB)/4, $0x3f800000 // 1
DATA exp<>+40(SB)/4, $0x0000007f // the bias of exponents, a whole number
DATA exp<>+44(SB)/4, $0xc2ae999a // least
DATA exp<>+48(SB)/4, $0x42b00000 // most
GLOBL exp<>(SB), RODATA|NOPTR, $52

// EXPCONSTANTS loads them to Y3 and the following.
#define EXPCONSTANTS \
	VBROADCASTSS exp<>+0(SB), Y3 \
	VBROADCASTSS exp<>+4(SB), Y4 \
	VBROADCASTSS exp<>+8(SB), Y5 \
	VBROADCASTSS exp<>+12(SB), Y6 \
	VBROADCASTSS exp<>+16(SB), Y7 \
	VBROADCASTSS exp<>+20(SB), Y8 \
	VBROADCASTSS exp<>+24(SB), Y9 \
	VBROADCASTSS exp<>+28(SB), Y10 \
	VBROADCASTSS exp<>+32(SB), Y11 \
	VBROADCASTSS exp<>+36(SB), Y12 \
	VBROADCASTSS exp<>+40(SB), Y13 \
	VBROADCASTSS exp<>+44(SB), Y14 \
	VBROADCASTSS exp<>+48(SB), Y15

// EXP makes e^Y0 in Y0, by way of Y1 and Y2. What is too small comes to 0, what
// is too large to e^88; what is no number stays none.
#define EXP \
	VCMPPS       $1, Y14, Y0, Y2 \
	VMINPS       Y0, Y15, Y0     \
	VMAXPS       Y0, Y14, Y0     \
	VMULPS       Y3, Y0, Y1      \
	VROUNDPS     $0, Y1, Y1      \
	VFNMADD231PS Y4, Y1, Y0      \
	VFNMADD231PS Y5, Y1, Y0      \
	VCVTPS2DQ    Y1, Y1          \
	VPADDD       Y13, Y1, Y1     \
	VPSLLD       $23, Y1, Y1     \
	VANDNPS      Y1, Y2, Y1      \
	VMOVAPS      Y6, Y2          \
	VFMADD213PS  Y7, Y0, Y2      \
	VFMADD213PS  Y8, Y0, Y2      \
	VFMADD213PS  Y9, Y0, Y2      \
	VFMADD213PS  Y10, Y0, Y2     \
	VFMADD213PS  Y11, Y0, Y2     \
	VFMADD213PS  Y12, Y0, Y2     \
	VFMADD213PS  Y12, Y0, Y2     \
	VMULPS       Y1, Y2, Y0

// func expsAVX2(x *float32, n int, most float32) float64
// n is a multiple of 8.
TEXT ·expsAVX2(SB), NOSPLIT, $32-32
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	EXPCONSTANTS
	VXORPD  Y1, Y1, Y1
	VMOVUPD Y1, sum-32(SP)
loop:
	VBROADCASTSS most+16(FP), Y1
	VMOVUPS      (SI), Y0
	VSUBPS       Y1, Y0, Y0
	EXP
	VMOVUPS      Y0, (SI)
	VEXTRACTF128 $1, Y0, X1
	VCVTPS2PD    X0, Y0
	VCVTPS2PD    X1, Y1
	VADDPD       Y1, Y0, Y0
	VADDPD       sum-32(SP), Y0, Y0
	VMOVUPD      Y0, sum-32(SP)
	ADDQ $32, SI
	SUBQ $8, CX
	JNZ  loop
	VEXTRACTF128 $1, Y0, X1
	VADDPD       X1, X0, X0
	VUNPCKHPD    X0, X0, X1
	VADDSD       X1, X0, X0
	VMOVSD       X0, ret+24(FP)
	VZEROUPPER
	RET

// func gateAVX2(gate, up *float32, n int)
// n is a multiple of 8.
TEXT ·gateAVX2(SB), NOSPLIT, $0-24
	MOVQ gate+0(FP), SI
	MOVQ up+8(FP), DI
	MOVQ n+16(FP), CX
	EXPCONSTANTS
loop:
	VXORPS  Y0, Y0, Y0
	VSUBPS  (SI), Y0, Y0
	EXP
	VADDPS  Y12, Y0, Y0
	VMOVUPS (SI), Y1
	VDIVPS  Y0, Y1, Y1
	VMULPS  (DI), Y1, Y1
	VMOVUPS Y1, (SI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ  loop
	VZEROUPPER
	RET
