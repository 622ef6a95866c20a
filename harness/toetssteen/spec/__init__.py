"""What the YAML may say: tasks, suites, candidates, acceptance profiles, requirements.

Unknown keys are refused, every field has one type, and an error names file, field and the likely
correction. After this door nothing asks `isinstance` again.
"""

from toetssteen.spec.base import (
    WRITTEN,
    Language,
    PluginRef,
    Spec,
    Text,
    beside,
    inside,
)
from toetssteen.spec.candidates import (
    CandidateSpec,
    ColumnKind,
    HubWeights,
    MlflowWeights,
    PackageWeights,
    PathWeights,
    SamplingSpec,
    TableSpec,
    Weights,
)
from toetssteen.spec.evidence import (
    Comparator,
    Criterion,
    ProfileSpec,
    Requirement,
    RequirementFile,
)
from toetssteen.spec.reading import (
    load_yaml,
    parse,
    read,
)
from toetssteen.spec.services import (
    PACING,
    BudgetSpec,
    EndpointSpec,
    FunctionSpec,
    PriceSpec,
    RouteSpec,
    ServiceSpec,
    is_plain,
)
from toetssteen.spec.tasks import (
    Band,
    ControlSpec,
    MetricRef,
    SubjectRef,
    SuiteSpec,
    TaskSpec,
)

__all__ = [
    "PACING",
    "WRITTEN",
    "Band",
    "BudgetSpec",
    "CandidateSpec",
    "ColumnKind",
    "Comparator",
    "ControlSpec",
    "Criterion",
    "EndpointSpec",
    "FunctionSpec",
    "HubWeights",
    "Language",
    "MetricRef",
    "MlflowWeights",
    "PackageWeights",
    "PathWeights",
    "PluginRef",
    "PriceSpec",
    "ProfileSpec",
    "Requirement",
    "RequirementFile",
    "RouteSpec",
    "SamplingSpec",
    "ServiceSpec",
    "Spec",
    "SubjectRef",
    "SuiteSpec",
    "TableSpec",
    "TaskSpec",
    "Text",
    "Weights",
    "beside",
    "inside",
    "is_plain",
    "load_yaml",
    "parse",
    "read",
]
