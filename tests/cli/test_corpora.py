"""The verb corpora: a list, or the text of one."""

import re

from calling import Command

from clearhead import corpora


def test_the_list(command: Command):
    done = command("corpora")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert len(lines) == len(corpora.names())
    for line, corpus in zip(lines, corpora.names(), strict=True):
        name, language, size, what = re.split(r"\s+", line.replace(" MB  ", "  "), maxsplit=3)
        assert (name, language, float(size), what) == (
            corpus.name,
            corpus.language,
            corpus.default_megabytes,
            corpus.description,
        )


def test_a_text_is_its_documents_with_an_empty_line_between(command: Command):
    done = command("corpora", "world-en", "--megabytes", 0.02)
    documents = list(corpora.get("world-en").source(megabytes=0.02).documents())
    assert done.code == 0
    assert done.out == "".join(f"{document}\n\n" for document in documents)


def test_what_is_not_there(command: Command):
    done = command("corpora", "world-ch")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: no corpus 'world-ch'; did you mean 'world-zh'?\n"
    done = command("corpora", "--megabytes", 3)
    assert (done.code, done.err) == (2, "error: --megabytes 3: needs a corpus; name one\n")
    assert command("corpora", "world-en", "--megabytes", -1).code == 2
