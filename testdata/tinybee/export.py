#!/usr/bin/env python3
"""Writes the newest checkpoint of train.py as a GGUF file (version 3, ggml's docs/gguf.md)."""
import argparse
import pathlib
import struct

import numpy
import sentencepiece
import torch

F32, Q8_0 = 0, 8
UINT32, FLOAT32, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5
ALIGNMENT = 32

# A story model knows no roles: a conversation is its texts, and the story goes on after the last one.
TEMPLATE = ("{% for message in messages %}{% if message['role'] != 'system' %}{{ message['content'] }}"
            "{% if not loop.last %}{{ '\\n' }}{% endif %}{% endif %}{% endfor %}")


def text(s):
    data = s.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def entry(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def array(kind, values):
    return struct.pack("<IQ", kind, len(values)) + b"".join(values)


def metadata(shape, pieces):
    number = lambda key, v: entry(key, UINT32, struct.pack("<I", v))
    real = lambda key, v: entry(key, FLOAT32, struct.pack("<f", v))
    kind = lambda i: 2 if pieces.is_unknown(i) else 3 if pieces.is_control(i) else 6 if pieces.is_byte(i) else 1
    ids = range(pieces.get_piece_size())
    return [
        entry("general.architecture", STRING, text("llama")), entry("general.name", STRING, text("tinybee")),
        entry("general.license", STRING, text("mit")),
        number("llama.context_length", shape["context"]), number("llama.embedding_length", shape["width"]),
        number("llama.block_count", shape["layers"]), number("llama.feed_forward_length", shape["ffn"]),
        number("llama.attention.head_count", shape["heads"]), number("llama.attention.head_count_kv", shape["heads"]),
        real("llama.attention.layer_norm_rms_epsilon", shape["eps"]), real("llama.rope.freq_base", shape["rope_base"]),
        number("llama.rope.dimension_count", shape["width"] // shape["heads"]), number("llama.vocab_size", shape["vocab"]),
        entry("tokenizer.ggml.model", STRING, text("llama")),
        entry("tokenizer.ggml.tokens", ARRAY, array(STRING, [text(pieces.id_to_piece(i)) for i in ids])),
        entry("tokenizer.ggml.scores", ARRAY, array(FLOAT32, [struct.pack("<f", pieces.get_score(i)) for i in ids])),
        entry("tokenizer.ggml.token_type", ARRAY, array(INT32, [struct.pack("<i", kind(i)) for i in ids])),
        number("tokenizer.ggml.bos_token_id", 1), number("tokenizer.ggml.eos_token_id", 2), number("tokenizer.ggml.unknown_token_id", 0),
        entry("tokenizer.ggml.add_bos_token", BOOL, b"\1"), entry("tokenizer.ggml.add_eos_token", BOOL, b"\0"),
        entry("tokenizer.ggml.add_space_prefix", BOOL, b"\1"), entry("tokenizer.chat_template", STRING, text(TEMPLATE)),
    ]


def quantized(weights):
    """Q8_0: for each 32 values a scale in half precision and 32 signed bytes."""
    blocks = weights.reshape(-1, 32)
    scale = numpy.abs(blocks).max(1, keepdims=True) / 127
    inverse = numpy.divide(1, scale, out=numpy.zeros_like(scale), where=scale > 0)
    values = numpy.rint(blocks * inverse).astype(numpy.int8)
    return numpy.concatenate((scale.astype("<f2").view(numpy.uint8), values.view(numpy.uint8)), 1).tobytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", help="folder that train.py wrote to")
    parser.add_argument("--f32", action="store_true", help="leave the weights as they were trained")
    parser.add_argument("--out", default="tinybee.gguf")
    o = parser.parse_args()
    build = pathlib.Path(o.build)
    checkpoint = torch.load(build / "tinybee.pt")
    entries = metadata(checkpoint["shape"], sentencepiece.SentencePieceProcessor(model_file=str(build / "tinybee.model")))

    heads, body = [], b""
    for name, tensor in checkpoint["weights"].items():
        weights = tensor.numpy().astype("<f4")
        kind = F32 if o.f32 or weights.ndim == 1 else Q8_0
        data = weights.tobytes() if kind == F32 else quantized(weights)
        body += b"\0" * (-len(body) % ALIGNMENT)
        shape = weights.shape[::-1]  # GGUF names the length of a row first
        heads.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(body)))
        body += data
    head = b"GGUF" + struct.pack("<IQQ", 3, len(heads), len(entries)) + b"".join(entries) + b"".join(heads)
    pathlib.Path(o.out).write_bytes(head + b"\0" * (-len(head) % ALIGNMENT) + body)
    print(f"{o.out}: step {checkpoint['step']}, loss {checkpoint['loss']:.3f}, {len(head) + len(body)} bytes")


if __name__ == "__main__":
    main()
