"""The contractions that every benchmark uses: one table, four sets.

``REFERENCE`` are the cases of the first survey of the peers, ``OTHER`` a second set of the same
classes with other sizes and orders, ``WIDE`` pairs of 64-bit types, which only some peers have,
``ENCODER`` the contractions of a transformer's layer.
Kernels are tuned by what is slow here, never to these sizes: a third set decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["CASES", "ENCODER", "OTHER", "REFERENCE", "TOKENS", "WIDE", "Case", "chosen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One pairwise contraction.

    Args:
        name: Short and unique.
        group: Class of shapes, such as ``square`` or ``mps``.
        equation: Einsum text with two operands.
        dimensions: Size of each index.
        dtype: Type of both operands and of the result.
    """

    name: str
    group: str
    equation: str
    dimensions: tuple[tuple[str, int], ...]
    dtype: str = "float32"

    @property
    def operands(self) -> tuple[str, str]:
        """Indices of the operands."""
        left, right = self.equation.split("->")[0].split(",")
        return left, right

    @property
    def output(self) -> str:
        """Indices of the result."""
        return self.equation.split("->")[1]

    @property
    def is_complex(self) -> bool:
        """Whether the numbers are complex."""
        return self.dtype.startswith("complex")

    @property
    def flop(self) -> int:
        """Work: 2 FLOP per multiply-add, 8 if complex."""
        mul_adds = math.prod(size for _, size in self.dimensions)
        return mul_adds * (8 if self.is_complex else 2)

    def shape(self, indices: str) -> tuple[int, ...]:
        """Sizes of some indices."""
        sizes = dict(self.dimensions)
        return tuple(sizes[name] for name in indices)


def _case(name: str, group: str, equation: str, sizes: str, dtype: str = "float32") -> Case:
    """A case from sizes written as ``i256 k256``."""
    dimensions = tuple((word[0], int(word[1:])) for word in sizes.split())
    return Case(name=name, group=group, equation=equation, dimensions=dimensions, dtype=dtype)


_C64, _F64, _C128 = "complex64", "float64", "complex128"

REFERENCE = (
    _case("mm256", "square", "ik,kj->ij", "i256 k256 j256"),
    _case("mm512", "square", "ik,kj->ij", "i512 k512 j512"),
    _case("mm1024", "square", "ik,kj->ij", "i1024 k1024 j1024"),
    _case("mmOdd", "square", "ik,kj->ij", "i257 k311 j193"),
    _case("tall", "skinny", "ik,kj->ij", "i8192 k64 j64"),
    _case("bigK", "skinny", "ik,kj->ij", "i64 k8192 j64"),
    _case("tinyK", "skinny", "ik,kj->ij", "i1024 k8 j1024"),
    _case("tinyM", "skinny", "ik,kj->ij", "i4 k2048 j2048"),
    _case("bmm64", "batched", "bik,bkj->bij", "b64 i64 k64 j64"),
    _case("bmm16", "batched", "bik,bkj->bij", "b512 i16 k16 j16"),
    _case("mmTN", "layout", "ki,kj->ij", "i512 k512 j512"),
    _case("mmNT", "layout", "ik,jk->ij", "i512 k512 j512"),
    _case("mmOutT", "layout", "ki,jk->ji", "i512 k512 j512"),
    _case("tc4a", "tccg", "abcd,dbea->ec", "a16 b16 c64 d16 e64"),
    _case("tc3", "tccg", "bda,dc->abc", "a64 b64 c64 d64"),
    _case("ccsd4", "tccg", "aebf,dfce->abcd", "a20 b20 c20 d20 e20 f20"),
    _case("tc5", "tccg", "efbad,cf->abcde", "a12 b12 c48 d12 e12 f48"),
    _case("ccsdt6", "tccg", "gdab,efgc->abcdef", "a10 b10 c10 d10 e10 f10 g12"),
    _case("mps16", "mps", "ac,apb->cpb", "a16 c16 p2 b16"),
    _case("mps64", "mps", "cpb,cpd->bd", "c64 p2 b64 d64"),
    _case("mps128", "mps", "ac,apb->cpb", "a128 c128 p4 b128"),
    _case("mpo64", "mps", "xaby,bcad->xcdy", "x64 y64 a6 b6 c6 d6"),
    _case("peps8", "peps", "abcdp,ceghp->abdegh", "a8 b8 c8 d8 e8 g8 h8 p2"),
    _case("bertQKV", "bert", "ik,kj->ij", "i128 k768 j768"),
    _case("bertMLP", "bert", "ik,kj->ij", "i128 k768 j3072"),
    _case("bertQK", "bert", "qhd,khd->hqk", "q128 h12 d64 k128"),
    _case("bertAV", "bert", "hqk,khd->qhd", "q128 h12 d64 k128"),
    _case("cmm256", "complex", "ik,kj->ij", "i256 k256 j256", _C64),
    _case("cmps64", "complex", "cpb,cpd->bd", "c64 p2 b64 d64", _C64),
    _case("cpeps6", "complex", "abcdp,ceghp->abdegh", "a6 b6 c6 d6 e6 g6 h6 p2", _C64),
    _case("qgate18", "complex", "aibjc,klij->akblc", "a64 i2 b64 j2 c16 k2 l2", _C64),
)
"""The 31 cases of the first survey."""

OTHER = (
    _case("sq96", "square", "ik,kj->ij", "i96 k96 j96"),
    _case("sq384", "square", "ik,kj->ij", "i384 k384 j384"),
    _case("sq768", "square", "ik,kj->ij", "i768 k768 j768"),
    _case("odd129", "square", "ik,kj->ij", "i129 k257 j131"),
    _case("odd509", "square", "ik,kj->ij", "i509 k401 j467"),
    _case("tall48", "skinny", "ik,kj->ij", "i10000 k50 j40"),
    _case("wide56", "skinny", "ik,kj->ij", "i56 k72 j9000"),
    _case("bigK32", "skinny", "ik,kj->ij", "i32 k20000 j48"),
    _case("dotlike", "skinny", "ik,jk->ij", "i8 k60000 j8"),
    _case("tinyK3", "skinny", "ik,kj->ij", "i900 k3 j1100"),
    _case("outer", "skinny", "ik,kj->ij", "i1500 k1 j1300"),
    _case("tinyM2", "skinny", "ik,kj->ij", "i2 k1900 j2100"),
    _case("tinyN3", "skinny", "ik,kj->ij", "i2050 k1950 j3"),
    _case("matvec", "skinny", "ik,k->i", "i3000 k1200"),
    _case("bmm48", "batched", "bik,bkj->bij", "b80 i48 k56 j40"),
    _case("bmm5", "batched", "bik,bkj->bij", "b4000 i5 k7 j6"),
    _case("bmmInner", "batched", "ikb,kjb->ijb", "b96 i40 k32 j48"),
    _case("bmmMixed", "batched", "ibk,jkb->bji", "b64 i48 k64 j56"),
    _case("hyper4", "batched", "abik,bkja->bija", "a8 b12 i32 k40 j36"),
    _case("TN320", "layout", "ki,kj->ij", "i320 k448 j384"),
    _case("NT640", "layout", "ik,jk->ij", "i640 k320 j448"),
    _case("TT360", "layout", "ki,jk->ij", "i360 k520 j440"),
    _case("outT432", "layout", "ik,kj->ji", "i432 k400 j368"),
    _case("tc4b", "tccg", "acbd,debf->fcae", "a18 b20 c22 d16 e14 f24"),
    _case("tc4c", "tccg", "dcab,bead->ec", "a14 b18 c80 d12 e72"),
    _case("tc5b", "tccg", "fcdba,ef->abcde", "a10 b14 c11 d13 e40 f36"),
    _case("tc6b", "tccg", "gdbca,fgeh->abcdefh", "a6 b8 c7 d9 e6 f8 g10 h5"),
    _case("tc6c", "tccg", "afbecd,gchfb->gaehd", "a12 b6 c9 d10 e8 f7 g14 h11"),
    _case("tc8", "tccg", "abcdefgh,hfdbij->aijceg", "a6 b4 c5 d4 e6 f4 g5 h4 i7 j8"),
    _case("tc8rev", "tccg", "hgfedcba,aceg->bdfh", "a6 b5 c6 d5 e4 f6 g5 h6"),
    _case("scatter7", "tccg", "eagbfcd,dhbca->hgfe", "a5 b6 c7 d5 e8 f9 g10 h24"),
    _case("tc3b", "tccg", "cab,ad->bcd", "a70 b50 c44 d60"),
    _case("mps24", "mps", "ac,apb->cpb", "a24 c20 p3 b28"),
    _case("mps40", "mps", "cpb,cpd->bd", "c40 p2 b48 d44"),
    _case("mps100", "mps", "ac,apb->cpb", "a100 c100 p2 b100"),
    _case("mps200T", "mps", "bpa,ca->pcb", "a200 c180 p2 b190"),
    _case("mpo48", "mps", "xaby,bcad->xcdy", "x48 y56 a5 b5 c5 d5"),
    _case("mpo96", "mps", "axby,cadb->cxdy", "x96 y80 a4 b3 c4 d3"),
    _case("env3", "mps", "xwy,ywpq->xpq", "x72 w5 y64 p2 q70"),
    _case("peps5", "peps", "abcdp,ceghp->abdegh", "a5 b6 c7 d5 e6 g7 h5 p3"),
    _case("peps6row", "peps", "aebfcg,dgbhe->afdch", "a8 b6 c7 d9 e5 f8 g6 h7"),
    _case("pepsTop", "peps", "ludrp,dxpy->luxry", "l7 u6 d8 r7 p4 x30 y9"),
    _case("ctmrg", "peps", "cx,xuyd->cuyd", "c64 x64 u9 y48 d3"),
    _case("bert384", "bert", "ik,kj->ij", "i384 k768 j768"),
    _case("bertDown", "bert", "ik,kj->ij", "i128 k3072 j768"),
    _case("heads", "bert", "btd,dhk->bhtk", "b2 t96 d512 h8 k64"),
    _case("scores", "bert", "bhtk,bhsk->bhts", "b2 h8 t96 s96 k64"),
    _case("merge", "bert", "bhtk,hkd->btd", "b2 h8 t96 k64 d512"),
    _case("cmmOdd", "complex", "ik,kj->ij", "i161 k203 j187", _C64),
    _case("cTN", "complex", "ki,jk->ji", "i192 k256 j224", _C64),
    _case("cbmm", "complex", "bik,bkj->bij", "b48 i24 k24 j24", _C64),
    _case("cmps48", "complex", "cpb,cpd->bd", "c48 p3 b40 d44", _C64),
    _case("cmpo", "complex", "xaby,bcad->xcdy", "x40 y44 a4 b4 c4 d4", _C64),
    _case("cpeps5", "complex", "pabcd,gchep->gabehd", "a5 b6 c6 d5 e6 g5 h6 p2", _C64),
    _case("gate20", "complex", "aibjc,klij->akblc", "a16 i2 b256 j2 c64 k2 l2", _C64),
    _case("gate1", "complex", "aib,ji->ajb", "a512 i2 b1024 j2", _C64),
    _case("gateLast", "complex", "aibj,klij->akbl", "a128 i2 b1024 j2 k2 l2", _C64),
    _case("gate3", "complex", "aibjck,lmnijk->albmcn", "a32 i2 b32 j2 c64 k2 l2 m2 n2", _C64),
)
"""A second set of the same classes."""

WIDE = (
    _case("d256", "wide", "ik,kj->ij", "i256 k256 j256", _F64),
    _case("dOdd", "wide", "ik,kj->ij", "i131 k241 j187", _F64),
    _case("dMps64", "wide", "cpb,cpd->bd", "c64 p2 b64 d64", _F64),
    _case("dTc4", "wide", "aebf,dfce->abcd", "a14 b14 c14 d14 e14 f14", _F64),
    _case("dPeps6", "wide", "abcdp,ceghp->abdegh", "a6 b6 c6 d6 e6 g6 h6 p2", _F64),
    _case("z160", "wide", "ik,kj->ij", "i160 k160 j160", _C128),
    _case("zMps48", "wide", "cpb,cpd->bd", "c48 p2 b48 d48", _C128),
    _case("zGate18", "wide", "aibjc,klij->akblc", "a64 i2 b64 j2 c16 k2 l2", _C128),
)
"""64-bit types."""

TOKENS = (128, 384)
"""Lengths of the encoder layers."""

_PROJECT = "td,dhk->thk"
ENCODER = tuple(
    case
    for n in TOKENS
    for case in (
        _case(f"project{n}", f"encoder{n}", _PROJECT, f"t{n} d768 h12 k64"),
        _case(f"scores{n}", f"encoder{n}", "thk,shk->hts", f"t{n} s{n} h12 k64"),
        _case(f"weighted{n}", f"encoder{n}", "hts,shk->thk", f"t{n} s{n} h12 k64"),
        _case(f"joined{n}", f"encoder{n}", "thk,hkd->td", f"t{n} h12 k64 d768"),
        _case(f"up{n}", f"encoder{n}", "td,df->tf", f"t{n} d768 f3072"),
        _case(f"down{n}", f"encoder{n}", "tf,fd->td", f"t{n} f3072 d768"),
    )
)
"""The contractions of an encoder layer of RoBERTa-base: model 768, 12 heads of 64, 3072 wide.

``project`` runs three times: queries, keys, values. Softmax, GELU and layer norms are left out for
everyone alike: they are no contractions.
"""

CASES = (*REFERENCE, *OTHER, *WIDE, *ENCODER)


def chosen(words: str | None) -> tuple[Case, ...]:
    """The cases of a comma-separated list of names, groups and sets; all of them for ``None``.

    Raises:
        ValueError: A word names nothing.
    """
    if words is None:
        return CASES
    sets = {"reference": REFERENCE, "other": OTHER, "wide": WIDE, "encoder": ENCODER}
    found: dict[str, Case] = {}
    for word in words.split(","):
        hits = sets.get(word) or [case for case in CASES if word in (case.name, case.group)]
        if not hits:
            raise ValueError(f"No case, group or set is called {word}.")
        found.update((case.name, case) for case in hits)
    return tuple(found.values())
