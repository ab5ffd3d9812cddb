#include "textflag.h"
#include "large_amd64.h"
#include "rows_vnni_amd64.h"

// Rows with blocks of 256 and one vector, the sums as in large_amd64.s.

// Indices of the scales of 64 values: two to 64, and four.
DATA two<>+0(SB)/8, $0
DATA two<>+8(SB)/8, $0
DATA two<>+16(SB)/8, $0
DATA two<>+24(SB)/8, $0
DATA two<>+32(SB)/8, $0x0001000100010001
DATA two<>+40(SB)/8, $0x0001000100010001
DATA two<>+48(SB)/8, $0x0001000100010001
DATA two<>+56(SB)/8, $0x0001000100010001
GLOBL two<>(SB), RODATA|NOPTR, $64

DATA four<>+0(SB)/8, $0
DATA four<>+8(SB)/8, $0
DATA four<>+16(SB)/8, $0x0001000100010001
DATA four<>+24(SB)/8, $0x0001000100010001
DATA four<>+32(SB)/8, $0x0002000200020002
DATA four<>+40(SB)/8, $0x0002000200020002
DATA four<>+48(SB)/8, $0x0003000300030003
DATA four<>+56(SB)/8, $0x0003000300030003
GLOBL four<>(SB), RODATA|NOPTR, $64

// WIDEMIN's shifts (32 leaves nothing) and masks.
DATA packed<>+0(SB)/8, $0
DATA packed<>+8(SB)/8, $0x0000000400000000
DATA packed<>+16(SB)/8, $0x0000000200000020
DATA packed<>+24(SB)/8, $0x0000000200000020
DATA packed<>+32(SB)/8, $0x0f0f0f0f3f3f3f3f
DATA packed<>+40(SB)/8, $0x0f0f0f0f3f3f3f3f
DATA packed<>+48(SB)/8, $0x3030303030303030
DATA packed<>+56(SB)/8, $0x3030303030303030
GLOBL packed<>(SB), RODATA|NOPTR, $64

// MINCONSTANTS loads what Q4_K and Q5_K need.
#define MINCONSTANTS \
	INDICES(two, 2)                 \
	VPSLLW    $2, Z26, Z30          \
	VMOVDQU64 packed<>+0(SB), X20   \
	VMOVDQU64 packed<>+16(SB), X21  \
	VMOVDQU64 packed<>+32(SB), X22  \
	VMOVDQU64 packed<>+48(SB), X23

// func q4kRowsVNNI(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)
TEXT ·q4kRowsVNNI(SB), NOSPLIT, $0-56
	WIDEROWS
	MINCONSTANTS
row:
	WIDEROWBEGIN
block:
	WIDEMIN
	MINSUMS
	VPXORD Z0, Z0, Z0
	PAIR(16)
	ADDVALUES(0, Z26)
	PAIR(48)
	ADDVALUES(64, Z27)
	PAIR(80)
	ADDVALUES(128, Z28)
	PAIR(112)
	ADDVALUES(192, Z29)
	ADDLARGE
	WIDEBLOCKEND(144)
	JLT block
	WIDEROWEND
	JNZ row
	VZEROUPPER
	RET

// func q5kRowsVNNI(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)
TEXT ·q5kRowsVNNI(SB), NOSPLIT, $0-56
	WIDEROWS
	MINCONSTANTS
	MOVL         $1, AX
	VPBROADCASTB AX, Z24
	VPSLLVW      Z26, Z24, Z24 // 1s, and 2s in the upper half
	MOVL         $16, AX
	VPBROADCASTB AX, Z25
row:
	WIDEROWBEGIN
block:
	WIDEMIN
	MINSUMS
	VPXORD          Z0, Z0, Z0
	VBROADCASTI64X4 16(SI), Z12
	PAIR(48)
	FIFTHS
	ADDVALUES(0, Z26)
	PAIR(80)
	FIFTHS
	ADDVALUES(64, Z27)
	PAIR(112)
	FIFTHS
	ADDVALUES(128, Z28)
	PAIR(144)
	FIFTHS
	ADDVALUES(192, Z29)
	ADDLARGE
	WIDEBLOCKEND(176)
	JLT block
	WIDEROWEND
	JNZ row
	VZEROUPPER
	RET

// func q6kRowsVNNI(out *float32, w *byte, rows int, q *int8, d *float32, sums *int16, blocks int)
// There are no minima, and so no use for the sums.
TEXT ·q6kRowsVNNI(SB), NOSPLIT, $0-56
	WIDEROWS
	INDICES(four, 4)
	MOVL         $48, AX
	VPBROADCASTB AX, Z24
	MOVL         $32, AX
	VPBROADCASTB AX, Z25
	VMOVDQU64    two<>(SB), Z23
	VPSLLW       $1, Z23, Z23   // 0s, and 2s in the upper half
	MOVL         $4, AX
	VPBROADCASTW AX, Z30
	VPSUBW       Z23, Z30, Z30  // 4s, and 2s in the upper half
row:
	WIDEROWBEGIN
block:
	VPXORD       Z0, Z0, Z0
	VPMOVSXBW    192(SI), Y5
	VPBROADCASTW 208(SI), X7
	VCVTPH2PS    X7, X7
	VPXORD       X6, X6, X6
	SIXES(0, 128, 0, Z26, Z27)
	SIXES(64, 160, 128, Z28, Z29)
	ADDLARGE
	WIDEBLOCKEND(210)
	JLT block
	WIDEROWEND
	JNZ row
	VZEROUPPER
	RET
