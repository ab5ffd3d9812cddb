#include "textflag.h"
#include "wide_amd64.h"
#include "vnni_amd64.h"

// As in wide_amd64.s; blocks come in pairs.

// The high halves of 16 bytes follow the low ones.
DATA shifts<>+0(SB)/8, $0
DATA shifts<>+8(SB)/8, $0
DATA shifts<>+16(SB)/8, $4
DATA shifts<>+24(SB)/8, $4
DATA shifts<>+32(SB)/8, $0
DATA shifts<>+40(SB)/8, $0
DATA shifts<>+48(SB)/8, $4
DATA shifts<>+56(SB)/8, $4
GLOBL shifts<>(SB), RODATA|NOPTR, $64

// func q8RowsVNNI(out *float32, w *byte, rows int, q *int8, d *float32, blocks int)
TEXT ·q8RowsVNNI(SB), NOSPLIT, $0-48
	CONSTANTS(128)
	BLOCKROWS
row:
	BLOCKROWBEGIN
loop:
	BLOCKSTEP(PAIRQ8, 34)
	JLT loop
	BLOCKROWEND
	JNZ row
	VZEROUPPER
	RET

// func q8TileVNNI(out *[16]float32, w *byte, stride int, v *columns, n int)
TEXT ·q8TileVNNI(SB), NOSPLIT, $0-40
	CONSTANTS(128)
	BLOCKTILE
loop:
	BLOCKTILESTEP(PAIRQ8, 34)
	JLT loop
	STORE16
	RET

// func q4RowsVNNI(out *float32, w *byte, rows int, q *int8, d *float32, blocks int)
TEXT ·q4RowsVNNI(SB), NOSPLIT, $0-48
	CONSTANTS(8)
	BLOCKROWS
row:
	BLOCKROWBEGIN
loop:
	BLOCKSTEP(PAIRQ4, 18)
	JLT loop
	BLOCKROWEND
	JNZ row
	VZEROUPPER
	RET

// func q4TileVNNI(out *[16]float32, w *byte, stride int, v *columns, n int)
TEXT ·q4TileVNNI(SB), NOSPLIT, $0-40
	CONSTANTS(8)
	BLOCKTILE
loop:
	BLOCKTILESTEP(PAIRQ4, 18)
	JLT loop
	STORE16
	RET
