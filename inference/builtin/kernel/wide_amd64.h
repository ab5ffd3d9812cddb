// The pieces that the kernels with vectors of 512 bits are made of.

// SUM512 adds the sixteen lanes of Z (whose low half is Y) into the first of
// X0, by way of X1.
#define SUM512(Z, Y) \
	VEXTRACTF64X4 $1, Z, Y0  \
	VADDPS        Y, Y0, Y0  \
	VEXTRACTF128  $1, Y0, X1 \
	VADDPS        X1, X0, X0 \
	VMOVHLPS      X0, X0, X1 \
	VADDPS        X1, X0, X0 \
	VMOVSHDUP     X0, X1     \
	VADDSS        X1, X0, X0

#define LOADF32(M, Z) VMOVUPS M, Z

#define LOADF16(M, Z) VCVTPH2PS M, Z

#define LOADBF16(M, Z) \
	VPMOVZXWD M, Z \
	VPSLLD    $16, Z, Z

// FLOATROWS begins a kernel of neighbouring rows with one vector.
#define FLOATROWS \
	MOVQ out+0(FP), DI   \
	MOVQ w+8(FP), SI     \
	MOVQ rows+16(FP), R8 \
	MOVQ x+24(FP), DX    \
	MOVQ n+32(FP), CX

#define FLOATROWBEGIN \
	VPXORD Z16, Z16, Z16 \
	XORQ   BX, BX

#define FLOATSTEP(LOAD, SIZE) \
	LOAD((SI), Z2)                 \
	VFMADD231PS (DX)(BX*4), Z2, Z16 \
	ADDQ        $SIZE, SI          \
	ADDQ        $16, BX            \
	CMPQ        BX, CX

#define FLOATROWEND \
	SUM512(Z16, Y16)    \
	VMOVSS X0, (DI)     \
	ADDQ   $4, DI       \
	DECQ   R8

// ZERO16 clears the sums of a tile: of row r and vector c in Z(16+4r+c).
#define ZERO16 \
	VPXORD Z16, Z16, Z16 \
	VPXORD Z17, Z17, Z17 \
	VPXORD Z18, Z18, Z18 \
	VPXORD Z19, Z19, Z19 \
	VPXORD Z20, Z20, Z20 \
	VPXORD Z21, Z21, Z21 \
	VPXORD Z22, Z22, Z22 \
	VPXORD Z23, Z23, Z23 \
	VPXORD Z24, Z24, Z24 \
	VPXORD Z25, Z25, Z25 \
	VPXORD Z26, Z26, Z26 \
	VPXORD Z27, Z27, Z27 \
	VPXORD Z28, Z28, Z28 \
	VPXORD Z29, Z29, Z29 \
	VPXORD Z30, Z30, Z30 \
	VPXORD Z31, Z31, Z31

#define STORE1(Z, Y, AT) \
	SUM512(Z, Y)       \
	VMOVSS X0, AT(DI)

#define STORE16 \
	MOVQ out+0(FP), DI   \
	STORE1(Z16, Y16, 0)  \
	STORE1(Z17, Y17, 4)  \
	STORE1(Z18, Y18, 8)  \
	STORE1(Z19, Y19, 12) \
	STORE1(Z20, Y20, 16) \
	STORE1(Z21, Y21, 20) \
	STORE1(Z22, Y22, 24) \
	STORE1(Z23, Y23, 28) \
	STORE1(Z24, Y24, 32) \
	STORE1(Z25, Y25, 36) \
	STORE1(Z26, Y26, 40) \
	STORE1(Z27, Y27, 44) \
	STORE1(Z28, Y28, 48) \
	STORE1(Z29, Y29, 52) \
	STORE1(Z30, Y30, 56) \
	STORE1(Z31, Y31, 60) \
	VZEROUPPER

// FLOATTILE begins a kernel of four rows, at SI, R9 (which is SI+R8), SI+2·R8 and R9+2·R8, and
// the vectors at R10 to R13.
#define FLOATTILE \
	MOVQ w+8(FP), SI       \
	MOVQ stride+16(FP), R8 \
	MOVQ v+24(FP), AX      \
	MOVQ n+32(FP), CX      \
	LEAQ (SI)(R8*1), R9    \
	MOVQ 64(AX), R10       \
	MOVQ 72(AX), R11       \
	MOVQ 80(AX), R12       \
	MOVQ 88(AX), R13       \
	XORQ BX, BX            \
	ZERO16

// FLOATCOL meets the rows in Z0 to Z3 with a vector.
#define FLOATCOL(P, ACC0, ACC1, ACC2, ACC3) \
	VMOVUPS     (P)(BX*4), Z4  \
	VFMADD231PS Z4, Z0, ACC0   \
	VFMADD231PS Z4, Z1, ACC1   \
	VFMADD231PS Z4, Z2, ACC2   \
	VFMADD231PS Z4, Z3, ACC3

#define FLOATTILESTEP(LOAD, SIZE) \
	LOAD((SI), Z0)                    \
	LOAD((R9), Z1)                    \
	LOAD((SI)(R8*2), Z2)              \
	LOAD((R9)(R8*2), Z3)              \
	FLOATCOL(R10, Z16, Z20, Z24, Z28) \
	FLOATCOL(R11, Z17, Z21, Z25, Z29) \
	FLOATCOL(R12, Z18, Z22, Z26, Z30) \
	FLOATCOL(R13, Z19, Z23, Z27, Z31) \
	ADDQ $SIZE, SI                    \
	ADDQ $SIZE, R9                    \
	ADDQ $16, BX                      \
	CMPQ BX, CX
