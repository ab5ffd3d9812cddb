#!/usr/bin/env python3
"""Trains tinybee: a llama of some 1.7 million weights on the stories of corpus.py.

Needs Debian's python3-torch, python3-sentencepiece and libopenblas0-pthread.
Writes a checkpoint every 100 steps, which export.py turns into a GGUF file.
"""
import argparse
import math
import pathlib
import random
import time

import sentencepiece
import torch
import torch.nn as nn
import torch.nn.functional as F

import corpus

SHAPE = dict(vocab=1024, width=160, layers=5, heads=5, ffn=416, context=512, rope_base=10000.0, eps=1e-5)


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + SHAPE["eps"]) * self.weight


def rotate(x, cos, sin):
    """RoPE over neighbouring pairs, which is the order a llama GGUF wants: no permutation at export."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, width, ffn):
        super().__init__()
        linear = lambda i, o: nn.Linear(i, o, bias=False)
        self.attn_norm, self.ffn_norm = Norm(width), Norm(width)
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (linear(width, width) for _ in range(4))
        self.ffn_gate, self.ffn_up, self.ffn_down = linear(width, ffn), linear(width, ffn), linear(ffn, width)

    def forward(self, x, cos, sin, mask):
        batch, length, width = x.shape
        heads = lambda t: t.view(batch, length, SHAPE["heads"], -1).transpose(1, 2)
        h = self.attn_norm(x)
        q, k, v = rotate(heads(self.attn_q(h)), cos, sin), rotate(heads(self.attn_k(h)), cos, sin), heads(self.attn_v(h))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + mask
        x = x + self.attn_output((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embd = nn.Embedding(SHAPE["vocab"], SHAPE["width"])
        self.blk = nn.ModuleList(Block(SHAPE["width"], SHAPE["ffn"]) for _ in range(SHAPE["layers"]))
        self.output_norm = Norm(SHAPE["width"])
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.05)

    def forward(self, tokens):
        length = tokens.shape[1]
        half = SHAPE["width"] // SHAPE["heads"] // 2
        angle = torch.arange(length).float()[:, None] * SHAPE["rope_base"] ** (-torch.arange(half).float() / half)
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, angle.cos(), angle.sin(), mask)
        return self.output_norm(x) @ self.token_embd.weight.T


def vocabulary(stories, prefix):
    """A SentencePiece vocabulary of the corpus, with bytes for what it lacks."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(s.replace("\n", " ") for s in stories[:20000]), model_prefix=prefix, vocab_size=SHAPE["vocab"],
        model_type="bpe", byte_fallback=True, character_coverage=1.0, add_dummy_prefix=True, remove_extra_whitespaces=False,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, num_threads=1, minloglevel=2, split_digits=True)
    return sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="build", help="folder for vocabulary and checkpoints")
    parser.add_argument("--steps", type=int, default=3000, help="steps of the schedule, over which the rate falls")
    parser.add_argument("--until", type=int, default=0, help="stop after so many of them; 0 does all")
    parser.add_argument("--resume", action="store_true", help="go on with the weights and the vocabulary in --out, on a schedule of their own")
    parser.add_argument("--batch", type=int, default=20, help="sequences in a step")
    parser.add_argument("--length", type=int, default=192, help="tokens in a sequence")
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate at its highest")
    parser.add_argument("--names", type=float, default=4, help="how much a name counts, other words counting 1")
    parser.add_argument("--stories", type=int, default=60000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    o = parser.parse_args()
    torch.manual_seed(o.seed)
    torch.set_num_threads(o.threads)
    out = pathlib.Path(o.out)
    out.mkdir(parents=True, exist_ok=True)

    r = random.Random(o.seed)
    stories = [corpus.story(r) for _ in range(o.stories)]
    if o.resume:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(out / "tinybee.model"))
    else:
        pieces = vocabulary(stories, str(out / "tinybee"))
    stream = []
    for ids in pieces.encode(stories):
        stream += [1] + ids + [2]
    data = torch.tensor(stream)
    # A sequence begins with a story, so that it holds the name that comes again
    # later; and names count more than other words, or the model, which sees few
    # of them, learns late to whom a story belongs.
    starts = (data == 1).nonzero().flatten()
    starts = starts[starts < len(data) - o.length - 1]
    weight = torch.ones(SHAPE["vocab"])
    weight[[pieces.encode("a " + name)[-1] for name in corpus.NAMES]] = o.names
    model = Model()
    if o.resume:
        model.load_state_dict(torch.load(out / "tinybee.pt")["weights"])
        torch.manual_seed(o.seed + 1)  # other stories than the first time
    print(f"{len(stories)} stories, {len(data)} tokens, {sum(p.numel() for p in model.parameters())} weights", flush=True)

    optimizer = torch.optim.AdamW(model.parameters(), lr=o.rate, betas=(0.9, 0.95), weight_decay=0.05)
    began = time.time()
    for step in range(1, (o.until or o.steps) + 1):
        warm = min(1, step / 50)
        rate = o.rate * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / o.steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        at = starts[torch.randint(len(starts), (o.batch,))]
        tokens = torch.stack([data[i:i + o.length + 1] for i in at])
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten(), weight)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step} loss {loss.item():.3f} {(time.time() - began) / step:.2f} s/step", flush=True)
        if step % 100 == 0 or step == (o.until or o.steps):
            torch.save({"shape": SHAPE, "step": step, "loss": loss.item(), "weights": model.state_dict()}, out / "tinybee.pt")


if __name__ == "__main__":
    main()
