// Instructions that Go's assembler has no name for, by their encodings (Arm
// Architecture Reference Manual, C7.2). The arguments are register numbers.

// Bytes times bytes, to 16 bits: the low halves, the high halves, and the same
// added to what is there.
#define SMULL(d, n, m)  WORD $(0x0E20C000 | (m)<<16 | (n)<<5 | (d)) // smull  vd.8h, vn.8b, vm.8b
#define SMLAL(d, n, m)  WORD $(0x0E208000 | (m)<<16 | (n)<<5 | (d)) // smlal  vd.8h, vn.8b, vm.8b
#define SMLAL2(d, n, m) WORD $(0x4E208000 | (m)<<16 | (n)<<5 | (d)) // smlal2 vd.8h, vn.16b, vm.16b

// Neighbouring 16 bits added, to 32; and the same added to what is there.
#define SADDLP(d, n)    WORD $(0x4E602800 | (n)<<5 | (d)) // saddlp vd.4s, vn.8h
#define SADALP(d, n)    WORD $(0x4E606800 | (n)<<5 | (d)) // sadalp vd.4s, vn.8h

// 16 bits with their sign to 32: low and high half.
#define SXTL(d, n)      WORD $(0x0F10A400 | (n)<<5 | (d)) // sxtl  vd.4s, vn.4h
#define SXTL2(d, n)     WORD $(0x4F10A400 | (n)<<5 | (d)) // sxtl2 vd.4s, vn.8h

// vd += vn × lane i of vm, in 32-bit integers and in floats.
#define MLALANE(d, n, m, i)  WORD $(0x6F800000 | ((i)&1)<<21 | ((i)>>1)<<11 | (m)<<16 | (n)<<5 | (d)) // mla  vd.4s, vn.4s, vm.s[i]
#define FMLALANE(d, n, m, i) WORD $(0x4F801000 | ((i)&1)<<21 | ((i)>>1)<<11 | (m)<<16 | (n)<<5 | (d)) // fmla vd.4s, vn.4s, vm.s[i]

#define FMLA(d, n, m)   WORD $(0x4E20CC00 | (m)<<16 | (n)<<5 | (d)) // fmla  vd.4s, vn.4s, vm.4s
#define FADD(d, n, m)   WORD $(0x4E20D400 | (m)<<16 | (n)<<5 | (d)) // fadd  vd.4s, vn.4s, vm.4s
#define FADDP(d, n, m)  WORD $(0x6E20D400 | (m)<<16 | (n)<<5 | (d)) // faddp vd.4s, vn.4s, vm.4s
#define SCVTF(d, n)     WORD $(0x4E21D800 | (n)<<5 | (d))           // scvtf vd.4s, vn.4s
#define ADDV(d, n)      WORD $(0x4EB1B800 | (n)<<5 | (d))           // addv  sd, vn.4s

// Half precision and bfloat16 to float32: low and high half; one half.
#define FCVTL(d, n)     WORD $(0x0E217800 | (n)<<5 | (d)) // fcvtl  vd.4s, vn.4h
#define FCVTL2(d, n)    WORD $(0x4E217800 | (n)<<5 | (d)) // fcvtl2 vd.4s, vn.8h
#define SHLL(d, n)      WORD $(0x2E613800 | (n)<<5 | (d)) // shll  vd.4s, vn.4h, #16
#define SHLL2(d, n)     WORD $(0x6E613800 | (n)<<5 | (d)) // shll2 vd.4s, vn.8h, #16
#define FCVTSH(d, n)    WORD $(0x1EE24000 | (n)<<5 | (d)) // fcvt   sd, hn
