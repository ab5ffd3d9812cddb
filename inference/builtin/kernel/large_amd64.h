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

// ADDGROUP adds to Y0 the products of the unsigned W and the values at DI+AT,
// times the scale at DX+SCALE.
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

// TOTAL adds the eight lanes of Y0 into AX.
#define TOTAL \
	VEXTRACTI128 $1, Y0, X1  \
	VPADDD       X1, X0, X0  \
	VPSHUFD      $0x4E, X0, X1 \
	VPADDD       X1, X0, X0  \
	VPSHUFD      $0xB1, X0, X1 \
	VPADDD       X1, X0, X0  \
	VMOVD        X0, AX
