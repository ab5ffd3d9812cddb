#include "textflag.h"
#include "large_amd64.h"
#include "wide_amd64.h"

// As multiplyTileAVX2, four rows at a time: rows is rounded up to a multiple of
// four.

// func multiplyTileVNNI(tile *largeTile, group *largeGroup, rows, blocks int)
TEXT ·multiplyTileVNNI(SB), NOSPLIT, $0-32
	MOVQ tile+0(FP), SI
	MOVQ group+8(FP), DI
	MOVQ rows+16(FP), R13
	MOVQ blocks+24(FP), CX
	LEAQ 65536(SI), R12     // the headers
	LEAQ 352(DI), DX        // the totals
	MOVQ 0(DI), R8
	MOVQ 8(DI), R9
	MOVQ 16(DI), R10
	MOVQ 24(DI), R11
	SHLQ $4, CX
rows:
	VMOVUPS 0(DX), X10
	VMOVUPS 16(DX), X11
	VMOVUPS 32(DX), X12
	VMOVUPS 48(DX), X13
	XORQ    AX, AX          // 16 for each block
	XORQ    BX, BX          // 512 for each block
block:
	ZERO16
step:
	VMOVDQU64 0(SI)(BX*1), Z0
	VMOVDQU64 2048(SI)(BX*1), Z1
	VMOVDQU64 4096(SI)(BX*1), Z2
	VMOVDQU64 6144(SI)(BX*1), Z3
	TILECOL(R8, Z16, Z20, Z24, Z28)
	TILECOL(R9, Z17, Z21, Z25, Z29)
	TILECOL(R10, Z18, Z22, Z26, Z30)
	TILECOL(R11, Z19, Z23, Z27, Z31)
	ADDQ  $64, BX
	TESTQ $511, BX
	JNZ   step
	ENDROW(0, Z16, Y16, Z17, Y17, Z18, Y18, Z19, Y19, X10)
	ENDROW(128, Z20, Y20, Z21, Y21, Z22, Y22, Z23, Y23, X11)
	ENDROW(256, Z24, Y24, Z25, Y25, Z26, Y26, Z27, Y27, X12)
	ENDROW(384, Z28, Y28, Z29, Y29, Z30, Y30, Z31, Y31, X13)
	ADDQ $16, AX
	CMPQ AX, CX
	JLT  block
	VMOVUPS X10, 0(DX)
	VMOVUPS X11, 16(DX)
	VMOVUPS X12, 32(DX)
	VMOVUPS X13, 48(DX)
	ADDQ $8192, SI
	ADDQ $512, R12
	ADDQ $64, DX
	SUBQ $4, R13
	JGT  rows
	VZEROUPPER
	RET
