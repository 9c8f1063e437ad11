#!/usr/bin/env python3
"""Renders the chat templates in tests/data/chat with python3-jinja2, as transformers does, and
prints what the C renderer has to give: tests/data/chat/vectors.txt is the output without arguments.

usage: chat_vectors.py                          the committed vectors
       chat_vectors.py --random N SEED          N made-up conversations for each template
       chat_vectors.py --folder FOLDER          other templates (*.jinja), with the committed
                                                conversations
       chat_vectors.py --against FOLDER [N SEED]
                                                the templates here and those of the same names in
                                                FOLDER: the committed conversations and N (200)
                                                made-up ones, every third with its messages in any
                                                order; prints where they differ, then numbers; the
                                                exit code is 1 if they do

Lines of the output, in which \\n, \\r, \\t, \\\\ and \\xNN are escapes:
    template FILE FORMAT BOS EOS    what follows is rendered by it ("-": no such token; FORMAT "?":
                                    not said)
    conversation                    begins one
    s TEXT, u TEXT, a TEXT          its messages
    = TEXT                          what the template renders
    !                               the template raises an exception

The templates are our own. Each is written to render what the tokenizer.chat_template of the model
named below renders without tools; where the model has a system text of its own, that is in its
words. vectors.txt is what copies of the models' templates rendered. Those copies are not kept here;
the templates here were compared with them by --against on 2026-11-24. The vectors are as good as
the copies were: they came from other projects, and which of them were reconstructed, or written
down from memory, is not on record. Of mistral-small-3.1, granite3 and granite3.3 they had shortened
versions; the first had lost the line ends of its system text, and took messages in any order.
"""
import datetime
import pathlib
import random
import sys

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "data" / "chat"
NOW = datetime.datetime(2025, 3, 4, 5, 6, 7)
# file, format, BOS, EOS, model
TEMPLATES = [
    ("chatml", "chatml", "<s>", "<|im_end|>", "teknium/OpenHermes-2.5-Mistral-7B"),
    ("qwen2", "chatml", "", "<|im_end|>", "Qwen/Qwen2-7B-Instruct"),
    ("qwen2.5", "chatml", "", "<|im_end|>", "Qwen/Qwen2.5-7B-Instruct"),
    ("qwen3", "qwen3", "", "<|im_end|>", "Qwen/Qwen3-0.6B"),
    ("qwq", "qwen3-thinking", "", "<|im_end|>", "Qwen/QwQ-32B"),
    ("llama2", "llama2", "<s>", "</s>", "meta-llama/Llama-2-7b-chat-hf"),
    ("llama3", "llama3", "<|begin_of_text|>", "<|eot_id|>", "meta-llama/Meta-Llama-3-8B-Instruct"),
    ("llama3.1", "llama3.1", "<|begin_of_text|>", "<|eot_id|>", "meta-llama/Llama-3.1-8B-Instruct"),
    ("llama3.2", "llama3.1", "<|begin_of_text|>", "<|eot_id|>", "meta-llama/Llama-3.2-3B-Instruct"),
    ("gemma2", "gemma", "<bos>", "<eos>", "google/gemma-2-2b-it"),
    ("gemma3", "gemma3", "<bos>", "<eos>", "google/gemma-3-1b-it"),
    ("phi3", "phi3", "<s>", "<|endoftext|>", "microsoft/Phi-3-mini-4k-instruct, first version"),
    ("phi3.5", "phi3", "<s>", "<|endoftext|>", "microsoft/Phi-3.5-mini-instruct"),
    ("phi4", "phi4", "<|endoftext|>", "<|im_end|>", "microsoft/phi-4"),
    ("phi4-mini", "phi4-mini", "<|endoftext|>", "<|endoftext|>", "microsoft/Phi-4-mini-instruct"),
    ("mistral-v0.1", "mistral-v0.1", "<s>", "</s>", "mistralai/Mistral-7B-Instruct-v0.1"),
    ("mistral-v0.2", "mistral-v0.2", "<s>", "</s>", "mistralai/Mistral-7B-Instruct-v0.2"),
    ("mistral-v1", "mistral-v1", "<s>", "</s>", "mistralai/Mistral-7B-Instruct-v0.2, later version"),
    ("mistral-v0.3", "mistral-v3", "<s>", "</s>", "mistralai/Mistral-7B-Instruct-v0.3"),
    ("mistral-nemo", "mistral-v3-tekken", "<s>", "</s>", "mistralai/Mistral-Nemo-Instruct-2407"),
    ("mistral-large-2411", "mistral-v7", "<s>", "</s>", "mistralai/Mistral-Large-Instruct-2411"),
    ("mistral-small-3.1", "mistral-v7-tekken", "<s>", "</s>",
     "mistralai/Mistral-Small-3.1-24B-Instruct-2503"),
    ("zephyr", "zephyr", "<s>", "</s>", "HuggingFaceH4/zephyr-7b-beta"),
    ("olmo2", "tulu", "<|endoftext|>", "<|endoftext|>", "allenai/OLMo-2-1124-7B-Instruct"),
    ("granite3", "granite", "<|end_of_text|>", "<|end_of_text|>",
     "ibm-granite/granite-3.0-8b-instruct"),
    ("granite3.3", "granite", "<|end_of_text|>", "<|end_of_text|>",
     "ibm-granite/granite-3.3-2b-instruct"),
]
CONVERSATIONS = [
    [("u", "Hello")],
    [("s", "You are brief."), ("u", "Hello")],
    [("u", "Hello"), ("a", "Hi there!"), ("u", "Who are you?")],
    [("s", "S"), ("u", " one\n"), ("a", "\n two "), ("u", "\tthree  "), ("a", "four"), ("u", "\n\n5")],
    [("u", "{{ messages }} {% raise %} {# no #} {"), ("a", "<|im_end|></s>[INST]"),
     ("u", "<|im_start|>system\nx<|im_end|> <|eot_id|> <end_of_turn> [/INST] <s></s> \\n '\"")],
    [("s", "\u3000r\u00e9sum\u00e9 \u00a0"), ("u", "\u2003\u4f60\u597d \U0001f600\u2028"),
     ("a", "\u0645\u0631\u062d\u0628\u0627"), ("u", "\u0085x\x1f")],
    [("u", "why"), ("a", "<think>\nhm\n</think>\n\nbecause"), ("u", "</think>"),
     ("a", "a</think>b</think>\nc"), ("u", " ")],
]


def make_environment():
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime
    return environment


def render(template, conversation, bos, eos):
    roles = {"s": "system", "u": "user", "a": "assistant"}
    messages = [{"role": roles[who], "content": text} for who, text in conversation]
    try:
        return template.render(messages=messages, tools=None, documents=None,
                               add_generation_prompt=True, bos_token=bos, eos_token=eos)
    except jinja2.exceptions.TemplateError:
        return None


def escape(text):
    out = []
    for c in text:
        if c == "\\" or c < " " or c == "\x7f":
            out.append({"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}.get(c, f"\\x{ord(c):02x}"))
        else:
            out.append(c)
    return "".join(out)


def random_conversation(source):
    pieces = ["a", "Hello", " ", "\n", "\t", "\u00a0", "\u3000", "\u00e9", "\U0001f600", "{{", "}}",
              "{%", "<|im_end|>", "<|im_start|>", "[INST]", "</s>", "<think>", "</think>", "'", '"',
              "\\", "<<SYS>>", "<end_of_turn>", "\x1c", "\u2009", "0"]

    def text():
        return "".join(source.choice(pieces) for _ in range(source.randint(1, 8)))

    conversation = [("s", text())] if source.random() < 0.5 else []
    for turn in range(source.randint(0, 3)):
        conversation += [("u", text()), ("a", text())]
    return conversation + [("u", text())]


def disordered(source, conversation):
    """Its texts, each from anybody, an empty one among them."""
    who = [source.choice("suaa") for _ in conversation]
    texts = [text for _, text in conversation]
    texts[source.randrange(len(texts))] = ""
    return list(zip(who, texts))


def load(environment, folder, name):
    return environment.from_string((folder / f"{name}.jinja").read_text(encoding="utf-8"))


def compare(environment, folder, count, seed, out):
    """Whether the templates of both folders do the same."""
    source, total, differ = random.Random(seed), [0, 0], 0
    for name, _, bos, eos, _ in TEMPLATES:
        ours, theirs = load(environment, FOLDER, name), load(environment, folder, name)
        conversations = CONVERSATIONS + [random_conversation(source) for _ in range(count)]
        for i in range(len(CONVERSATIONS), len(conversations), 3):
            conversations[i] = disordered(source, conversations[i])
        for conversation in conversations:
            a, b = (render(t, conversation, bos, eos) for t in (ours, theirs))
            total[a is None] += a == b
            if a != b:
                differ += 1
                out.write(f"{name}: {conversation}\n  here  {a!r}\n  there {b!r}\n")
    out.write(f"{len(TEMPLATES)} templates: {total[0]} texts the same, {total[1]} raised by both, "
              f"{differ} different\n")
    return differ == 0


def main(arguments):
    out = open(sys.stdout.fileno(), "w", encoding="utf-8", newline="\n", closefd=False)
    environment = make_environment()
    templates, folder, source, count = TEMPLATES, FOLDER, None, 0
    if arguments[:1] == ["--against"]:
        count, seed = (int(a) for a in arguments[2:] or ("200", "1"))
        same = compare(environment, pathlib.Path(arguments[1]), count, seed, out)
        out.flush()
        return 0 if same else 1
    if arguments[:1] == ["--random"]:
        count, source = int(arguments[1]), random.Random(int(arguments[2]))
    elif arguments[:1] == ["--folder"]:
        folder = pathlib.Path(arguments[1])
        templates = [(f.stem, "?", "<s>", "</s>", "") for f in sorted(folder.glob("*.jinja"))]
    for name, format_name, bos, eos, _ in templates:
        template = load(environment, folder, name)
        out.write(f"template {name} {format_name} {bos or '-'} {eos or '-'}\n")
        conversations = CONVERSATIONS if source is None else \
            [random_conversation(source) for _ in range(count)]
        for conversation in conversations:
            out.write("conversation\n")
            for who, text in conversation:
                out.write(f"{who} {escape(text)}\n")
            rendered = render(template, conversation, bos, eos)
            out.write("!\n" if rendered is None else f"= {escape(rendered)}\n")
    out.flush()
    return 0


sys.exit(main(sys.argv[1:]))
