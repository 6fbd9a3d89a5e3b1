"""Every method there is. A new one is a folder, and a line here."""

from __future__ import annotations

from sgenet.methods.edge_connect.spec import EDGE_CONNECT
from sgenet.methods.gated_conv.spec import GATED_CONV
from sgenet.methods.lama.spec import LAMA
from sgenet.methods.sge_net.spec import BASE_NET, SG_NET, SGE_NET
from sgenet.methods.spec import MethodSpec
from sgenet.methods.spg_net.spec import SPG_NET

_ALL = (
    BASE_NET,
    SG_NET,
    SGE_NET,
    GATED_CONV,
    EDGE_CONNECT,
    SPG_NET,
    LAMA,
)

METHODS: dict[str, MethodSpec] = {spec.name: spec for spec in _ALL}
"""By name, in the order of the tables."""

GUIDED_METHODS = frozenset(name for name, spec in METHODS.items() if spec.guided)
UNSEGMENTED_METHODS = frozenset(name for name, spec in METHODS.items() if not spec.segmented)
LABEL_STARTED_METHODS = frozenset(name for name, spec in METHODS.items() if spec.starts_from_labels)
