#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Layers that try to be written where they should not be, or to more than there is room for: one trick
a file. usage: make.py (writes *.tgz beside itself; the same bytes each time)"""
import gzip
import io
import os
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
TIME = 1741000000


def member(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644, pax=None, size=None):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, mode, TIME
    info.size = len(data) if size is None else size
    info.pax_headers = pax or {}
    return info, data


def tar(members, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as t:
        for info, data in members:
            t.addfile(info, io.BytesIO(data) if data else None)
    return out.getvalue()


def file(name, data=b"evil\n", **more):
    return member(name, data=data, **more)


def folder(name):
    return member(name, tarfile.DIRTYPE, mode=0o755)


def symlink(name, to, **more):
    return member(name, tarfile.SYMTYPE, link=to, mode=0o777, **more)


def hardlink(name, to, **more):
    return member(name, tarfile.LNKTYPE, link=to, **more)


def header(name, typeflag, size=0, prefix=b""):
    """A bare header with any type and size."""
    h = bytearray(512)
    h[0:len(name)] = name
    h[100:108] = b"0000644\0"
    h[108:116] = h[116:124] = b"0000000\0"
    h[124:136] = b"%011o\0" % size if size < 8 ** 11 else b"\x80" + size.to_bytes(11, "big")
    h[136:148] = b"%011o\0" % TIME
    h[156] = ord(typeflag)
    h[257:265] = b"ustar\00000"
    h[345:345 + len(prefix)] = prefix
    h[148:156] = b" " * 8
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


def old_sparse(name, real, data):
    """An old GNU sparse member: DATA at its start, REAL bytes long."""
    h = bytearray(header(name, "S", len(data)))
    h[257:265] = b"ustar  \0"
    h[386:398] = b"%011o\0" % 0
    h[398:410] = b"%011o\0" % len(data)
    h[410:422] = b"\x80" + (real - 1).to_bytes(11, "big")
    h[422:434] = b"%011o\0" % 0
    h[483:495] = b"\x80" + real.to_bytes(11, "big")
    h[148:156] = b" " * 8
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h) + data.ljust(512, b"\0")


END = bytes(1024)
DEEP = "/".join(["d"] * 300)

LAYERS = {
    "plain": tar([folder("a"), file("a/b"), symlink("c", "a/b"), hardlink("d", "a/b")]),
    "dot-dot": tar([file("../evil")]),
    "dot-dot-inside": tar([file("a/../../evil")]),
    "dot-dot-in-ustar-prefix": header(b"evil", "0", 0, b"..") + END,
    "dot-dot-folder": tar([folder("../evil")]),
    "absolute": tar([file("/evil"), file("//tmp//evil")]),
    "dots": tar([folder("."), folder("./"), file("./a"), file("b/./c")]),
    "through-symlink-up": tar([symlink("link", ".."), file("link/evil")]),
    "through-symlink-absolute": tar([symlink("link", "/tmp"), file("link/evil")]),
    "through-symlink-inside": tar([folder("a"), symlink("link", "a"), file("link/evil")]),
    "through-symlink-chain": tar([symlink("x", "y"), symlink("y", "x/.."), file("x/evil")]),
    "through-itself": tar([symlink("a", "a"), file("a/b")]),
    "symlink-out": tar([symlink("a/link", "../../secret")]),
    "symlink-out-and-in-again": tar([symlink("link", "../target/x")]),
    "symlink-out-by-another": tar([symlink("d/e/up", "../.."), symlink("link", "d/e/up/..")]),
    "symlink-to-absolute": tar([symlink("link", "/etc/passwd")]),
    "folder-over-symlink": tar([symlink("x", "y"), folder("x"), file("x/evil")]),
    "file-over-symlink": tar([symlink("x", "y"), file("x")]),
    "file-over-folder": tar([folder("x"), file("x/y"), file("x")]),
    "folder-over-file": tar([file("x"), folder("x"), file("x/y")]),
    "file-below-file": tar([file("x"), file("x/y")]),
    "hardlink-up": tar([hardlink("h", "../secret")]),
    "hardlink-absolute": tar([hardlink("h", "/etc/passwd")]),
    "hardlink-to-symlink": tar([symlink("s", "t"), hardlink("h", "s")]),
    "hardlink-to-folder": tar([folder("a"), hardlink("h", "a")]),
    "hardlink-to-itself": tar([hardlink("h", "h")]),
    "hardlink-below-symlink": tar([folder("a"), file("a/b"), symlink("s", "a"), hardlink("h", "s/b")]),
    "written-through-hardlink": tar([file("a", b"good\n"), hardlink("b", "a"), file("b", b"bad\n")]),
    "device": tar([member("null", tarfile.CHRTYPE)]),
    "block-device": tar([member("disk", tarfile.BLKTYPE)]),
    "fifo": tar([member("pipe", tarfile.FIFOTYPE)]),
    "setuid": tar([file("su", mode=0o6755), member("t", tarfile.DIRTYPE, mode=0o7777)]),
    "pax-path": tar([file("good", pax={"path": "../evil"})]),
    "pax-linkpath": tar([symlink("good", "good2", pax={"linkpath": "../../secret"})]),
    "pax-size": tar([file("good", pax={"size": str(1 << 60)})]),
    "gnu-long-name": tar([file("../" * 40 + "evil")], tarfile.GNU_FORMAT),
    "gnu-long-link": tar([symlink("a", "../" * 40 + "secret")], tarfile.GNU_FORMAT),
    "sparse-terabyte": old_sparse(b"hole", 1 << 40, b"x") + END,
    "size-beyond-end": header(b"big", "0", 1 << 40) + b"x" * 512 + END,
    "negative-size": header(b"big", "0", (1 << 88) - 1) + END,
    "deep": tar([file(DEEP + "/evil")]),
    "long-component": tar([file("n" * 300)]),
    "many-entries": tar([file("f%d" % i, b"") for i in range(600)], tarfile.USTAR_FORMAT),
    "whiteouts-of-nothing": tar([file(".wh..", b""), file(".wh...", b""), file("a/.wh...", b""), file("b", b"b")]),
    "whiteout-up": tar([file("../.wh.secret", b"")]),
    "newline": tar([file("a\nb")]),
    "empty-name": header(b"", "0") + tar([file("after")]),
    "unknown-type": header(b"odd", "7", 0) + header(b"odder", "V", 0) + tar([file("after")]),
    "truncated": tar([file("a", b"x" * 5000)])[:2048],
    "no-end": tar([file("a")])[:1024],
}


def bomb():
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9, mtime=0) as z:
        z.write(header(b"zeros", "0", 96 << 20))
        for _ in range(96):
            z.write(bytes(1 << 20))
        z.write(END)
    return out.getvalue()


for name, content in LAYERS.items():
    with open(os.path.join(HERE, name + ".tgz"), "wb") as f:
        f.write(gzip.compress(content, 9, mtime=0))
with open(os.path.join(HERE, "bomb.tgz"), "wb") as f:
    f.write(bomb())
