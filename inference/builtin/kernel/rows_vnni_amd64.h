// The pieces of the kernels in rows_vnni_amd64.s.

// WIDEROWS begins a kernel of neighbouring rows with one vector. Of a vector
// there are 256 values, a scale and 8 sums to a block: BX counts the bytes of
// the scales.
#define WIDEROWS \
	MOVQ out+0(FP), DI       \
	MOVQ w+8(FP), SI         \
	MOVQ rows+16(FP), R13    \
	MOVQ q+24(FP), R8        \
	MOVQ d+32(FP), R9        \
	MOVQ sums+40(FP), R10    \
	MOVQ blocks+48(FP), CX   \
	SHLQ $2, CX              \
	MOVL $15, AX             \
	VPBROADCASTB AX, Z31

#define WIDEROWBEGIN \
	VPXORD X15, X15, X15  \
	MOVQ   R8, DX         \
	XORQ   BX, BX

#define WIDEBLOCKEND(SIZE) \
	ADDQ $SIZE, SI  \
	ADDQ $256, DX   \
	ADDQ $4, BX     \
	CMPQ BX, CX

#define WIDEROWEND \
	VMOVSS X15, (DI)  \
	ADDQ   $4, DI     \
	DECQ   R13

// INDICES makes four index registers: BASE, and BASE with STEP, twice and three
// times STEP added to each.
#define INDICES(BASE, STEP) \
	VMOVDQU64    BASE<>(SB), Z26 \
	MOVL         $STEP, AX       \
	VPBROADCASTW AX, Z0          \
	VPADDW       Z0, Z26, Z27    \
	VPADDW       Z0, Z27, Z28    \
	VPADDW       Z0, Z28, Z29

// WIDEMIN unpacks to Y5 the eight 6-bit scales and then the eight minima of
// the block at SI, as 16 bits, and to X7 its d and m. It is scalesMinima (see
// there) on the four dwords: scales and minima, first and last four.
#define WIDEMIN \
	VMOVDQU    (SI), X1              \
	VCVTPH2PS  X1, X7                \
	VPSHUFD    $0xED, X1, X2         \
	VPSHUFD    $0x84, X1, X3         \
	VPSRLVD    X20, X2, X2           \
	VPSRLVD    X21, X3, X3           \
	VPANDD     X22, X2, X2           \
	VPTERNLOGD $0xF8, X23, X3, X2    \
	VPMOVZXBW  X2, Y5

// MINSUMS makes of the minima in Y5 and the vector's sums what is to be taken
// off, in four lanes of X6.
#define MINSUMS \
	VEXTRACTI128 $1, Y5, X6       \
	VPMADDWD     (R10)(BX*4), X6, X6

// ADDVALUES adds to Z0 the products of 64 unsigned weights in Z1 and the values
// at DX+AT, times the scales that IDX picks from Z5.
#define ADDVALUES(AT, IDX) \
	VPMADDUBSW AT(DX), Z1, Z1  \
	VPERMW     Z5, IDX, Z2     \
	VPDPWSSD   Z2, Z1, Z0

// PAIR spreads the 32 bytes at SI+AT: low halves, then high halves. Z30 holds
// the shifts.
#define PAIR(AT) \
	VBROADCASTI64X4 AT(SI), Z1   \
	VPSRLVW         Z30, Z1, Z1  \
	VPANDD          Z31, Z1, Z1

// FIFTHS adds the fifth bits: the lowest of each byte of Z12, or the second
// lowest in the upper half, as Z24 says; Z25 holds 16s. Then it moves on.
#define FIFTHS \
	VPTESTMB Z24, Z12, K1       \
	VPADDB   Z25, Z1, K1, Z1    \
	VPSRLW   $2, Z12, Z12

// ADDLARGE adds what a block comes to: the lanes of Z0 and of X6, scaled by d
// and m in X7.
#define ADDLARGE \
	VEXTRACTI64X4 $1, Z0, Y1        \
	VPADDD        Y1, Y0, Y0        \
	ADDSCALED((R9)(BX*1))

// ADDSIXES is ADDVALUES for the low halves in Z1 and high bits in Z4, of values
// that are 32 less. Z24 holds 48s, Z25 32s.
#define ADDSIXES(AT, IDX) \
	VPANDD     Z31, Z1, Z1            \
	VPTERNLOGD $0xF8, Z24, Z4, Z1     \
	VMOVDQU64  AT(DX), Z8             \
	VPMADDUBSW Z8, Z1, Z1             \
	VPMADDUBSW Z8, Z25, Z4            \
	VPSUBW     Z4, Z1, Z1             \
	VPERMW     Z5, IDX, Z2            \
	VPDPWSSD   Z2, Z1, Z0

// SIXES does 128 values: low halves at SI+LOW, high bits at SI+HIGH. Z30 and Z23
// hold the shifts that bring these to their place.
#define SIXES(LOW, HIGH, AT, IDXA, IDXB) \
	VMOVDQU64       LOW(SI), Z3       \
	VBROADCASTI64X4 HIGH(SI), Z9      \
	VMOVDQA64       Z3, Z1            \
	VPSLLVW         Z30, Z9, Z4       \
	ADDSIXES(AT, IDXA)                \
	VPSRLW          $4, Z3, Z1        \
	VPSRLVW         Z23, Z9, Z4       \
	ADDSIXES(AT+64, IDXB)
