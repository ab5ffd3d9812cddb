// The pieces that the kernels in large_amd64.s are made of.

// NIBBLEMASK sets Y14 to 15s.
#define NIBBLEMASK \
	VPCMPEQB  Y14, Y14, Y14  \
	VPSRLW    $12, Y14, Y14  \
	VPACKUSWB Y14, Y14, Y14

// NIBBLES spreads 32 bytes at SI+AT: low halves to Y1, high halves to Y2.
#define NIBBLES(AT) \
	VMOVDQU AT(SI), Y1    \
	VPSRLW  $4, Y1, Y2    \
	VPAND   Y14, Y1, Y1   \
	VPAND   Y14, Y2, Y2

// What can be done with 32 values W of a block, from value AT on, whose scale is
// at DX+SCALE (in Q6_K each half has its own), is one of these pairs.

// ADDGROUP adds to Y0 the products of the unsigned W and the values at DI+AT,
// times the scale.
#define ADDGROUP(W, AT, SCALE) \
	VPMADDUBSW   AT(DI), W, W    \
	VPBROADCASTW SCALE(DX), Y9   \
	VPMADDWD     Y9, W, W        \
	VPADDD       W, Y0, Y0

// ADDSIGNED is ADDGROUP for signed W, whose halves have a scale each.
#define ADDSIGNED(W, AT, SCALEA, SCALEB) \
	VMOVDQU      AT(DI), Y8        \
	VPSIGNB      W, Y8, Y8         \
	VPABSB       W, W              \
	VPMADDUBSW   Y8, W, W          \
	VPBROADCASTW SCALEA(DX), X9    \
	VPBROADCASTW SCALEB(DX), X7    \
	VINSERTI128  $1, X7, Y9, Y9    \
	VPMADDWD     Y9, W, W          \
	VPADDD       W, Y0, Y0

// SPREADHALF writes half H of W to DI, as 16 bits, times the scale.
#define SPREADHALF(W, H, AT, SCALE) \
	VEXTRACTI128 $H, W, X7         \
	VPMOVSXBW    X7, Y7            \
	VPBROADCASTW SCALE(DX), Y9     \
	VPMULLW      Y9, Y7, Y7        \
	VMOVDQU      Y7, AT(DI)

#define SPREADSIGNED(W, AT, SCALEA, SCALEB) \
	SPREADHALF(W, 0, 2*AT, SCALEA)    \
	SPREADHALF(W, 1, 2*AT+32, SCALEB)

#define SPREADGROUP(W, AT, SCALE) SPREADSIGNED(W, AT, SCALE, SCALE)

// SPREADBEGIN begins a kernel that spreads blocks, the next at BX, whose header
// is to be at R8; DX is where their scales are while that goes on.
#define SPREADBEGIN \
	MOVQ q+0(FP), DI         \
	MOVQ headers+8(FP), R8   \
	MOVQ w+16(FP), BX        \
	MOVQ blocks+24(FP), R9   \
	LEAQ scales-32(SP), DX

#define SPREADNEXT(SIZE) \
	ADDQ $SIZE, BX  \
	ADDQ $512, DI   \
	ADDQ $32, R8    \
	DECQ R9

// HEADERMIN writes header and scales of a block with minima. It is scalesMinima
// (see there) on four dwords: first and last scales, first and last minima.
#define HEADERMIN \
	VMOVDQU   (BX), X1               \
	VCVTPH2PS X1, X2                 \
	VMOVLPS   X2, 16(R8)             \
	VPSHUFD   $0xED, X1, X2          \
	VPSHUFD   $0x84, X1, X3          \
	VPSRLVD   packed<>+0(SB), X2, X2 \
	VPSRLVD   packed<>+16(SB), X3, X3 \
	VPAND     packed<>+32(SB), X2, X2 \
	VPAND     packed<>+48(SB), X3, X3 \
	VPOR      X3, X2, X2             \
	VPMOVZXBW X2, Y2                 \
	VMOVDQU   X2, (DX)               \
	VEXTRACTI128 $1, Y2, (R8)

// HEADERQ6K does so for Q6_K, which has no minima: m is 0, whatever they are.
#define HEADERQ6K \
	VPMOVSXBW 192(BX), Y2   \
	VMOVDQU   Y2, (DX)      \
	VPBROADCASTW 208(BX), X2 \
	VCVTPH2PS X2, X2        \
	VPXOR     X3, X3, X3    \
	VMOVSS    X3, 20(R8)    \
	VMOVSS    X2, 16(R8)

// ADDSCALED adds to X15 what a block comes to with a vector, whose scale is at D:
// the lanes of Y0, less those of X6, times the block's d and m in X7.
#define ADDSCALED(D) \
	VEXTRACTI128 $1, Y0, X1   \
	VPADDD       X1, X0, X0   \
	VPHADDD      X6, X0, X0   \
	VPHADDD      X0, X0, X0   \
	VCVTDQ2PS    X0, X0       \
	VBROADCASTSS D, X1        \
	VMULPS       X1, X7, X7   \
	VMULPS       X7, X0, X0   \
	VMOVSHDUP    X0, X1       \
	VSUBSS       X1, X0, X0   \
	VADDSS       X0, X15, X15

// LARGEROWS begins a kernel of neighbouring rows with one vector: the next block
// at BX, values, scales and sums of the vector at DI, R11 and R10, a block's
// header at R8 and its scales at DX. Rows are left to count in R13, blocks
// in R12.
#define LARGEROWS \
	MOVQ w+8(FP), BX         \
	MOVQ out+0(FP), R9       \
	MOVQ rows+16(FP), R13    \
	LEAQ header-64(SP), R8   \
	LEAQ scales-32(SP), DX

#define LARGEROWBEGIN \
	MOVQ   q+24(FP), DI       \
	MOVQ   d+32(FP), R11      \
	MOVQ   sums+40(FP), R10   \
	MOVQ   blocks+48(FP), R12 \
	VXORPS X15, X15, X15

#define LARGEBLOCKEND(SIZE) \
	VMOVDQU  (R8), X6        \
	VPMADDWD (R10), X6, X6   \
	VMOVSD   16(R8), X7      \
	ADDSCALED((R11))         \
	ADDQ $SIZE, BX           \
	ADDQ $256, DI            \
	ADDQ $16, R10            \
	ADDQ $4, R11             \
	DECQ R12

#define LARGEROWEND \
	VMOVSS X15, (R9)  \
	ADDQ   $4, R9     \
	DECQ   R13

// EACHQ4K goes through a block's values; q is at SI.
#define EACHQ4K(USE) \
	NIBBLEMASK       \
	NIBBLES(0)       \
	USE(Y1, 0, 0)    \
	USE(Y2, 32, 2)   \
	NIBBLES(32)      \
	USE(Y1, 64, 4)   \
	USE(Y2, 96, 6)   \
	NIBBLES(64)      \
	USE(Y1, 128, 8)  \
	USE(Y2, 160, 10) \
	NIBBLES(96)      \
	USE(Y1, 192, 12) \
	USE(Y2, 224, 14)

// FIFTH puts a fifth bit above the four of W: the bits in Y12, shifted to bit 4.
#define FIFTH(SHIFT, N, W) \
	SHIFT $N, Y12, Y3 \
	VPAND Y13, Y3, Y3 \
	VPOR  Y3, W, W

// EACHQ5K is EACHQ4K with the 32 bytes of fifth bits at CX: bit g of byte i is
// value i's of group g.
#define EACHQ5K(USE) \
	NIBBLEMASK            \
	VPCMPEQB Y13, Y13, Y13 \
	VPABSB   Y13, Y13     \
	VPSLLW   $4, Y13, Y13 \
	VMOVDQU  (CX), Y12    \
	NIBBLES(0)            \
	FIFTH(VPSLLW, 4, Y1)  \
	USE(Y1, 0, 0)         \
	FIFTH(VPSLLW, 3, Y2)  \
	USE(Y2, 32, 2)        \
	NIBBLES(32)           \
	FIFTH(VPSLLW, 2, Y1)  \
	USE(Y1, 64, 4)        \
	FIFTH(VPSLLW, 1, Y2)  \
	USE(Y2, 96, 6)        \
	NIBBLES(64)           \
	FIFTH(VPSRLW, 0, Y1)  \
	USE(Y1, 128, 8)       \
	FIFTH(VPSRLW, 1, Y2)  \
	USE(Y2, 160, 10)      \
	NIBBLES(96)           \
	FIFTH(VPSRLW, 2, Y1)  \
	USE(Y1, 192, 12)      \
	FIFTH(VPSRLW, 3, Y2)  \
	USE(Y2, 224, 14)

// SIXTH puts two bits above the four of W, and takes 32 away.
#define SIXTH(SHIFT, N, W) \
	FIFTH(SHIFT, N, W) \
	VPSUBB Y11, W, W

// EACHQ6K goes through a block's values: low halves at SI, two high bits each at
// CX. Y11 holds 32s, Y13 48s: the mask of two bits in place.
#define EACHQ6K(USE) \
	NIBBLEMASK             \
	VPCMPEQB Y13, Y13, Y13 \
	VPABSB   Y13, Y13      \
	VPSLLW   $5, Y13, Y11  \
	VPSLLW   $4, Y13, Y10  \
	VPOR     Y10, Y11, Y13 \
	VMOVDQU  0(CX), Y12    \
	NIBBLES(0)             \
	SIXTH(VPSLLW, 4, Y1)   \
	USE(Y1, 0, 0, 2)       \
	SIXTH(VPSRLW, 0, Y2)   \
	USE(Y2, 64, 8, 10)     \
	NIBBLES(32)            \
	SIXTH(VPSLLW, 2, Y1)   \
	USE(Y1, 32, 4, 6)      \
	SIXTH(VPSRLW, 2, Y2)   \
	USE(Y2, 96, 12, 14)    \
	VMOVDQU  32(CX), Y12   \
	NIBBLES(64)            \
	SIXTH(VPSLLW, 4, Y1)   \
	USE(Y1, 128, 16, 18)   \
	SIXTH(VPSRLW, 0, Y2)   \
	USE(Y2, 192, 24, 26)   \
	NIBBLES(96)            \
	SIXTH(VPSLLW, 2, Y1)   \
	USE(Y1, 160, 20, 22)   \
	SIXTH(VPSRLW, 2, Y2)   \
	USE(Y2, 224, 28, 30)

// TILESTEP adds to Y0 to Y3 the products of 16 weights of a row with those of
// four vectors.
#define TILESTEP(AT) \
	VMOVDQU  AT(SI)(BX*1), Y4      \
	VPMADDWD AT(R8)(BX*1), Y4, Y5  \
	VPMADDWD AT(R9)(BX*1), Y4, Y6  \
	VPMADDWD AT(R10)(BX*1), Y4, Y7 \
	VPMADDWD AT(R11)(BX*1), Y4, Y8 \
	VPADDD   Y5, Y0, Y0            \
	VPADDD   Y6, Y1, Y1            \
	VPADDD   Y7, Y2, Y2            \
	VPADDD   Y8, Y3, Y3

// FOURSUMS adds up the lanes of each of the four, into the lanes of X0.
#define FOURSUMS(Y0, Y1, Y2, Y3, X0, X1) \
	VPHADDD      Y1, Y0, Y0   \
	VPHADDD      Y3, Y2, Y2   \
	VPHADDD      Y2, Y0, Y0   \
	VEXTRACTI128 $1, Y0, X1   \
	VPADDD       X1, X0, X0

// LESS makes the four vectors' sums times a block's minima, in X5. The header is
// at R12+2·AX+AT, the sums behind DI.
#define LESS(AT) \
	VMOVDQU  AT(R12)(AX*2), X9     \
	VPMADDWD 96(DI)(AX*4), X9, X5  \
	VPMADDWD 112(DI)(AX*4), X9, X6 \
	VPMADDWD 128(DI)(AX*4), X9, X7 \
	VPMADDWD 144(DI)(AX*4), X9, X8 \
	VPHADDD  X6, X5, X5          \
	VPHADDD  X8, X7, X7          \
	VPHADDD  X7, X5, X5

// ADDBLOCK adds to the four totals T what a block comes to: SUMS and, in X5,
// what LESS made, scaled as the portable code does it.
#define ADDBLOCK(AT, SUMS, T) \
	VCVTDQ2PS    SUMS, SUMS          \
	VCVTDQ2PS    X5, X5              \
	VMOVUPS      32(DI)(AX*1), X8    \
	VBROADCASTSS AT+16(R12)(AX*2), X6   \
	VBROADCASTSS AT+20(R12)(AX*2), X7   \
	VMULPS       X8, X6, X6          \
	VMULPS       X8, X7, X7          \
	VMULPS       SUMS, X6, X6        \
	VMULPS       X5, X7, X7          \
	VSUBPS       X7, X6, X6          \
	VADDPS       X6, T, T

// TILECOL adds to four rows' sums the products of their 32 weights in Z0 to Z3
// with those of a vector.
#define TILECOL(P, ACC0, ACC1, ACC2, ACC3) \
	VMOVDQU64 (P)(BX*1), Z4   \
	VPDPWSSD  Z4, Z0, ACC0    \
	VPDPWSSD  Z4, Z1, ACC1    \
	VPDPWSSD  Z4, Z2, ACC2    \
	VPDPWSSD  Z4, Z3, ACC3

// HALVE adds the upper half of Z to the lower (Y), into TO.
#define HALVE(Z, Y, TO) \
	VEXTRACTI64X4 $1, Z, TO \
	VPADDD        Y, TO, TO

// ENDROW adds a row's four sums to its totals T; its header is AT bytes further.
#define ENDROW(AT, A0, B0, A1, B1, A2, B2, A3, B3, T) \
	HALVE(A0, B0, Y0)                 \
	HALVE(A1, B1, Y1)                 \
	HALVE(A2, B2, Y2)                 \
	HALVE(A3, B3, Y3)                 \
	FOURSUMS(Y0, Y1, Y2, Y3, X0, X1)  \
	LESS(AT)                          \
	ADDBLOCK(AT, X0, T)
