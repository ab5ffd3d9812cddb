// The pieces that the kernels in dot_amd64.s are made of.

// SUM adds the eight lanes of Y (whose low half is X) into the first of X:
// ((0+4)+(2+6)) + ((1+5)+(3+7)).
#define SUM(Y, X, XT) \
	VEXTRACTF128 $1, Y, XT \
	VADDPS       XT, X, X  \
	VMOVHLPS     X, X, XT  \
	VADDPS       XT, X, X  \
	VMOVSHDUP    X, XT     \
	VADDSS       XT, X, X

#define ZERO4 \
	VXORPS Y0, Y0, Y0 \
	VXORPS Y1, Y1, Y1 \
	VXORPS Y2, Y2, Y2 \
	VXORPS Y3, Y3, Y3

#define STORE4 \
	SUM(Y0, X0, X8)    \
	SUM(Y1, X1, X8)    \
	SUM(Y2, X2, X8)    \
	SUM(Y3, X3, X8)    \
	VMOVSS X0, (DI)    \
	VMOVSS X1, 4(DI)   \
	VMOVSS X2, 8(DI)   \
	VMOVSS X3, 12(DI)  \
	VZEROUPPER

#define LOADF32(M, Y) VMOVUPS M, Y

#define LOADF16(M, Y) VCVTPH2PS M, Y

#define LOADBF16(M, Y) \
	VPMOVZXWD M, Y  \
	VPSLLD    $16, Y, Y

// ROWS4 begins a kernel of four rows with one vector: rows at SI, R8, R9, R10.
#define ROWS4 \
	MOVQ out+0(FP), DI        \
	MOVQ w+8(FP), SI          \
	MOVQ stride+16(FP), AX    \
	MOVQ x+24(FP), DX         \
	MOVQ n+32(FP), CX         \
	LEAQ (SI)(AX*1), R8       \
	LEAQ (R8)(AX*1), R9       \
	LEAQ (R9)(AX*1), R10      \
	XORQ BX, BX               \
	ZERO4

// COLS4 begins a kernel of one row with four vectors, at R8 to R11.
#define COLS4 \
	MOVQ out+0(FP), DI   \
	MOVQ w+8(FP), SI     \
	MOVQ x0+16(FP), R8   \
	MOVQ x1+24(FP), R9   \
	MOVQ x2+32(FP), R10  \
	MOVQ x3+40(FP), R11  \
	MOVQ n+48(FP), CX    \
	XORQ BX, BX          \
	ZERO4

#define FLOATROWS(LOAD, SCALE) \
	VMOVUPS     (DX)(BX*4), Y8      \
	LOAD((SI)(BX*SCALE), Y4)        \
	LOAD((R8)(BX*SCALE), Y5)        \
	LOAD((R9)(BX*SCALE), Y6)        \
	LOAD((R10)(BX*SCALE), Y7)       \
	VFMADD231PS Y8, Y4, Y0          \
	VFMADD231PS Y8, Y5, Y1          \
	VFMADD231PS Y8, Y6, Y2          \
	VFMADD231PS Y8, Y7, Y3          \
	ADDQ        $8, BX

#define FLOATCOLS(LOAD, SCALE) \
	LOAD((SI)(BX*SCALE), Y4)            \
	VFMADD231PS (R8)(BX*4), Y4, Y0      \
	VFMADD231PS (R9)(BX*4), Y4, Y1      \
	VFMADD231PS (R10)(BX*4), Y4, Y2     \
	VFMADD231PS (R11)(BX*4), Y4, Y3     \
	ADDQ        $8, BX

// SCALE turns the half-precision scale at M into eight equal float32.
#define SCALE(M, X, Y) \
	VPBROADCASTW M, X \
	VCVTPH2PS    X, Y

// PRODUCT adds to ACC the 32 products of weights W and values Q, scaled by S.
// VPMADDUBSW wants unsigned times signed, so the weights' signs go to the
// values first. Y15 holds ones.
#define PRODUCT(W, ABS, Q, T, S, ACC) \
	VPSIGNB     W, Q, T       \
	VPMADDUBSW  T, ABS, T     \
	VPMADDWD    Y15, T, T     \
	VCVTDQ2PS   T, T          \
	VFMADD231PS T, S, ACC

#define LOADQ8(P, W, XT) VMOVDQU 2(P), W

// LOADQ4 spreads 16 bytes to 32 values: low halves, then high halves, less 8.
// Y14 holds 15s, Y13 holds 8s.
#define LOADQ4(P, W, XT) \
	VMOVDQU     2(P), XT           \
	VPSRLW      $4, XT, X12        \
	VMOVDQA     XT, X11            \
	VINSERTI128 $1, X12, Y11, W    \
	VPAND       Y14, W, W          \
	VPSUBB      Y13, W, W

#define ONES \
	VPCMPEQW Y15, Y15, Y15 \
	VPSRLW   $15, Y15, Y15

#define NIBBLES \
	VPCMPEQB Y14, Y14, Y14 \
	VPSRLW   $12, Y14, Y14 \
	VPACKUSWB Y14, Y14, Y14 \
	VPCMPEQB Y13, Y13, Y13 \
	VPSRLW   $15, Y13, Y13 \
	VPSLLW   $3, Y13, Y13  \
	VPACKUSWB Y13, Y13, Y13

// ROW does one row at P with the values in Y8, whose scale is in Y9.
#define ROW(P, LOAD, ACC) \
	LOAD(P, Y4, X10)          \
	SCALE((P), X6, Y6)        \
	VMULPS  Y9, Y6, Y6        \
	VPABSB  Y4, Y5            \
	PRODUCT(Y4, Y5, Y8, Y7, Y6, ACC)

// COL does the row in Y4 (sizes Y5, scale Y6) with the values at Q, D.
#define COL(Q, D, ACC) \
	VMOVDQU      (Q)(BX*8), Y8    \
	VBROADCASTSS (D)(BX*1), Y9    \
	VMULPS       Y9, Y6, Y9       \
	PRODUCT(Y4, Y5, Y8, Y7, Y9, ACC)

// BLOCKROWS begins a kernel of any number of rows with one vector. It does one
// row after the other: memory likes to be read from end to end, and a matrix
// comes from memory once a token. Measured, that is twice as fast as four rows
// at once.
#define BLOCKROWS \
	MOVQ out+0(FP), DI      \
	MOVQ w+8(FP), SI        \
	MOVQ rows+16(FP), R13   \
	MOVQ q+24(FP), R8       \
	MOVQ d+32(FP), R9       \
	MOVQ blocks+40(FP), R10

#define ROWBEGIN \
	MOVQ   R8, DX      \
	MOVQ   R9, R11     \
	MOVQ   R10, CX     \
	VXORPS Y0, Y0, Y0

#define ROWSTEP(LOAD, SIZE) \
	PREFETCHT0   1088(SI)   \
	VMOVDQU      (DX), Y8   \
	VBROADCASTSS (R11), Y9  \
	ROW(SI, LOAD, Y0)       \
	ADDQ         $SIZE, SI  \
	ADDQ         $32, DX    \
	ADDQ         $4, R11    \
	DECQ         CX

#define ROWEND \
	SUM(Y0, X0, X8)    \
	VMOVSS X0, (DI)    \
	ADDQ   $4, DI      \
	DECQ   R13

#define BLOCKCOLS4 \
	MOVQ out+0(FP), DI     \
	MOVQ w+8(FP), SI       \
	MOVQ v+16(FP), AX      \
	MOVQ blocks+24(FP), CX \
	MOVQ 0(AX), R8         \
	MOVQ 8(AX), R9         \
	MOVQ 16(AX), R10       \
	MOVQ 24(AX), R11       \
	MOVQ 32(AX), R12       \
	MOVQ 40(AX), R13       \
	MOVQ 48(AX), DX        \
	MOVQ 56(AX), AX        \
	SHLQ $2, CX            \
	XORQ BX, BX            \
	ZERO4

// BX counts the bytes of scales, four a block; eight times that is 32 values.
#define COLSSTEP(LOAD, SIZE) \
	LOAD(SI, Y4, X10)         \
	SCALE((SI), X6, Y6)       \
	VPABSB Y4, Y5             \
	COL(R8, R12, Y0)          \
	COL(R9, R13, Y1)          \
	COL(R10, DX, Y2)          \
	COL(R11, AX, Y3)          \
	ADDQ $SIZE, SI            \
	ADDQ $4, BX               \
	CMPQ BX, CX
