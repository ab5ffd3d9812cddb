// The pieces that the kernels of Q8_0 and Q4_0 with VNNI are made of, beside
// those in wide_amd64.h. They take two blocks at a time, the first in the lower
// half of a register and the second in the upper half.
//
// VPDPBUSD wants unsigned times signed, so weights are kept BIAS too high, and
// BIAS times the values is taken off.

// Z15: BIAS in each byte. Z14, Z13: Q4_0's shift and mask. K1: the upper half of
// 16 lanes.
#define CONSTANTS(BIAS) \
	MOVL         $BIAS, AX      \
	VPBROADCASTB AX, Z15        \
	MOVL         $15, AX        \
	VPBROADCASTB AX, Z13        \
	VMOVDQU64    shifts<>(SB), Z14 \
	MOVL         $0xff00, AX    \
	KMOVW        AX, K1

// PAIRQ8 loads the weights of two blocks, as unsigned numbers.
#define PAIRQ8(P, W) \
	VBROADCASTI64X4 2(P), W         \
	VBROADCASTI32X8 36(P), K1, W    \
	VPXORD          Z15, W, W

// PAIRQ4 spreads two times 16 bytes: low halves, then high halves.
#define PAIRQ4(P, W) \
	VBROADCASTI32X4 2(P), W         \
	VBROADCASTI32X4 20(P), K1, W    \
	VPSRLVQ         Z14, W, W       \
	VPANDD          Z13, W, W

// PAIRSCALES turns the two blocks' scales into eight times the one and eight
// times the other.
#define PAIRSCALES(P, SIZE, Y, Z) \
	VPBROADCASTW (P), Y             \
	VPBROADCASTW SIZE(P), K1, Y     \
	VCVTPH2PS    Y, Z

// VALUESCALES does so with the scales at P+BX of two blocks of a vector.
#define VALUESCALES(P, Z) \
	VBROADCASTSS (P)(BX*1), Z       \
	VBROADCASTSS 4(P)(BX*1), K1, Z

// BIASED makes minus BIAS times the values Q.
#define BIASED(Q, T, Z) \
	VPXORD   Z, Z, Z      \
	VPXORD   T, T, T      \
	VPDPBUSD Q, Z15, T    \
	VPSUBD   T, Z, Z

#define BLOCKROWS \
	MOVQ out+0(FP), DI       \
	MOVQ w+8(FP), SI         \
	MOVQ rows+16(FP), R13    \
	MOVQ q+24(FP), R8        \
	MOVQ d+32(FP), R9        \
	MOVQ blocks+40(FP), CX   \
	SHLQ $2, CX

#define BLOCKROWBEGIN \
	VPXORD Z16, Z16, Z16 \
	XORQ   BX, BX

// BX counts the bytes of the vector's scales; eight times that is its values.
#define BLOCKSTEP(LOAD, SIZE) \
	PREFETCHT0  1088(SI)            \
	LOAD(SI, Z0)                    \
	PAIRSCALES(SI, SIZE, Y4, Z4)    \
	VMOVDQU64   (R8)(BX*8), Z8      \
	BIASED(Z8, Z12, Z9)             \
	VALUESCALES(R9, Z10)    \
	ADDPAIR(Z0, Z4, Z16)            \
	ADDQ        $(2*SIZE), SI       \
	ADDQ        $8, BX              \
	CMPQ        BX, CX

#define BLOCKROWEND \
	SUM512(Z16, Y16)    \
	VMOVSS X0, (DI)     \
	ADDQ   $4, DI       \
	DECQ   R13

// ADDPAIR adds to ACC the products of the weights W, scaled by S, with the
// values in Z8, scaled by Z10; Z9 is what BIASED made of the values.
#define ADDPAIR(W, S, ACC) \
	VMOVDQA64   Z9, Z11      \
	VPDPBUSD    Z8, W, Z11   \
	VCVTDQ2PS   Z11, Z11     \
	VMULPS      Z10, S, Z12  \
	VFMADD231PS Z12, Z11, ACC

// BLOCKTILE begins a kernel of four rows, as FLOATTILE does, and four vectors:
// values at R11 to R13 and DX, scales at AX, DI, R10 and CX.
#define BLOCKTILE \
	MOVQ w+8(FP), SI         \
	MOVQ stride+16(FP), R8   \
	MOVQ v+24(FP), BX        \
	LEAQ (SI)(R8*1), R9      \
	MOVQ 0(BX), R11          \
	MOVQ 8(BX), R12          \
	MOVQ 16(BX), R13         \
	MOVQ 24(BX), DX          \
	MOVQ 32(BX), AX          \
	MOVQ 40(BX), DI          \
	MOVQ 48(BX), R10         \
	MOVQ 56(BX), CX          \
	SHLQ $2, n+32(FP)        \
	XORQ BX, BX              \
	ZERO16

#define BLOCKCOL(Q, D, ACC0, ACC1, ACC2, ACC3) \
	VMOVDQU64 (Q)(BX*8), Z8       \
	BIASED(Z8, Z12, Z9)           \
	VALUESCALES(D, Z10)   \
	ADDPAIR(Z0, Z4, ACC0)         \
	ADDPAIR(Z1, Z5, ACC1)         \
	ADDPAIR(Z2, Z6, ACC2)         \
	ADDPAIR(Z3, Z7, ACC3)

#define BLOCKTILESTEP(LOAD, SIZE) \
	LOAD(SI, Z0)                        \
	LOAD(R9, Z1)                        \
	PAIRSCALES(SI, SIZE, Y4, Z4)        \
	PAIRSCALES(R9, SIZE, Y5, Z5)        \
	LEAQ (SI)(R8*2), SI                 \
	LEAQ (R9)(R8*2), R9                 \
	LOAD(SI, Z2)                        \
	LOAD(R9, Z3)                        \
	PAIRSCALES(SI, SIZE, Y6, Z6)        \
	PAIRSCALES(R9, SIZE, Y7, Z7)        \
	SUBQ R8, SI                         \
	SUBQ R8, R9                         \
	SUBQ R8, SI                         \
	SUBQ R8, R9                         \
	BLOCKCOL(R11, AX, Z16, Z20, Z24, Z28)  \
	BLOCKCOL(R12, DI, Z17, Z21, Z25, Z29)  \
	BLOCKCOL(R13, R10, Z18, Z22, Z26, Z30) \
	BLOCKCOL(DX, CX, Z19, Z23, Z27, Z31)   \
	ADDQ $(2*SIZE), SI                  \
	ADDQ $(2*SIZE), R9                  \
	ADDQ $8, BX                         \
	CMPQ BX, n+32(FP)
