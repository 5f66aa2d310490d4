"""Who answers each role: engines by name, open from the first stage that asks them to the last."""

import json
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

from whorl.ask import Engine, Lasting, Role
from whorl.engines import open_engine
from whorl.engines.crew import Crew, Here
from whorl.engines.judge import Judges
from whorl.engines.memory import when_free
from whorl.engines.model import engine_settings, find_model
from whorl.engines.spec import Spec
from whorl.engines.unpack import quantised
from whorl.errors import UserError, need

_JUDGE = "judge"  # a role and its engine: there is one kind
_HERE = ("local", "openvino", "vllm", "replicas")  # engines for a folder whose model can be trained


@dataclass(frozen=True, slots=True)
class Engines:
    """Who answers, e.g. `local:path/to/model`; roles that name the same engine share it.

    An empty name is for a role that the recipe does not ask.

    policy: the model that solves.
    critic: the model that criticises steps.
    reviser: the model that rewrites steps.
    small: a weaker model, whose mistakes SPHERE learns from.
    prm: a process reward model, which says how good a step is.
    student: the model that learns, where it is another one than the policy that samples. No search
        asks it.
    teacher: the model that is learned from, by its solutions or by what it says of the policy's.
    processes: each model runs in so many of its own; 0 is inside this one.
    stay: engines stay open while a model is trained, where memory holds both. If not, those that
        can give their memory back do, and the others are closed.
    """

    policy: str = ""
    critic: str = ""
    reviser: str = ""
    small: str = ""
    prm: str = ""
    student: str = ""
    processes: int = 1
    stay: bool = False
    teacher: str = ""

    def __post_init__(self) -> None:
        if self.processes < 0:
            raise UserError(f"processes should be at least 0, not {self.processes}")

    @property
    def learner(self) -> str:
        """The engine of the model that learns: the student's, or the policy's."""
        return self.student or self.policy

    def measured(self) -> "Engines":
        """The engines that answer while the model that learns is measured: it is the policy."""
        return replace(self, policy=self.learner)

    def taught(self, folder: Path) -> "Engines":
        """The engines after what the model that learns has become lies in `folder`."""
        role = "student" if self.student else "policy"
        return replace(self, **{role: following(self.learner, folder)})  # type: ignore[arg-type]

    def named(self) -> dict[Role, str]:
        """The engines that are named and can be asked, by role."""
        roles: tuple[Role, ...] = ("policy", "critic", "reviser", "teacher", "small", "prm")
        return {role: spec for role in roles if (spec := getattr(self, role))}


class Crews(Protocol):
    """Whoever answers in a run, from stage to stage: `Opened` in this process, or a cluster."""

    @property
    def engines(self) -> Engines:
        """Who answers now."""

    def follow(self, engines: Engines) -> None:
        """Let `engines` answer from now on."""

    def crew(self, *roles: Role) -> Crew:
        """A crew with the engines of `roles`, or of all that are named, and the judge. Raises
        `UserError` if one cannot be opened."""

    def rest(self) -> None:
        """Give back memory, as a model is about to be trained."""


Opener = Callable[[Engines], AbstractContextManager[Crews]]
"""Opens engines where they are to be: in this process, as `Opened`, or on a cluster."""


@dataclass(slots=True)
class _Open:
    engine: Engine
    resting: bool = False


class Opened(AbstractContextManager["Opened"]):
    """The engines that `engines` names, each opened when it is first asked for.

    They stay open from stage to stage, until others are to answer (`follow`) or the `with` ends.
    patience: seconds in which one that memory is short for is tried again.
    """

    def __init__(self, engines: Engines, *, patience: float = 0.0) -> None:
        self._engines, self._patience = engines, patience
        self._open: dict[str, _Open] = {}

    def __exit__(self, *error: object) -> None:
        for spec in list(self._open):
            self._close(spec)

    @property
    def engines(self) -> Engines:
        """Who answers now."""
        return self._engines

    def follow(self, engines: Engines) -> None:
        """Let `engines` answer from now on. An open engine that they do not name goes on with the
        model of one that they do, if it can, or else is closed, when the next one is asked for."""
        self._engines = engines

    def by_role(self, *roles: Role) -> dict[str, Engine]:
        """Who answers `roles`, or all that are named, and the judge. Raises `UserError` if an
        engine cannot be opened."""
        named = {**self._engines.named(), "judge": _JUDGE}
        wanted = {role: named[role] for role in (*roles, "judge")} if roles else named
        for spec, held in list(self._open.items()):
            if isinstance(held.engine, Lasting) and held.engine.lost:
                self._close(spec)
        for spec in wanted.values():
            self._renew(spec)
        for spec in self._unnamed():  # before others take memory
            self._close(spec)
        for spec in wanted.values():
            if spec not in self._open:
                self._open[spec] = _Open(self._new(spec))
        return {role: self._open[spec].engine for role, spec in wanted.items()}

    def crew(self, *roles: Role) -> Here:
        """This process as a crew, with the engines of `roles`; see `by_role`."""
        return Here(self.by_role(*roles))

    def rest(self) -> None:
        """A model is about to be trained, which takes memory."""
        for spec, held in list(self._open.items()):
            if self._engines.stay or held.resting:
                continue
            held.resting = isinstance(held.engine, Lasting) and held.engine.rest()
            if not held.resting:
                self._close(spec)

    def _renew(self, spec: str) -> None:
        """Wake the engine that rests, or let one that is no longer named go on as this one."""
        if spec in self._open:
            olds = [spec] if self._open[spec].resting else []
        else:
            olds = [old for old in self._unnamed() if _follows(old, spec)]
        for old in olds[:1]:
            engine = self._open[old].engine
            if isinstance(engine, Lasting) and engine.reload(_folder(spec)):
                del self._open[old]
                self._open[spec] = _Open(engine)
            else:
                self._close(old)

    def _unnamed(self) -> list[str]:
        named = {*self._engines.named().values(), _JUDGE}
        return [spec for spec in self._open if spec not in named]

    def _new(self, spec: str) -> Engine:
        if spec == _JUDGE:
            return Judges()
        opener = partial(open_engine, spec, processes=self._engines.processes)
        return when_free(opener, self._patience)

    def _close(self, spec: str) -> None:
        self._open.pop(spec).engine.close()


def trainable(spec: str) -> Path:
    """The folder of a policy's weights, under the chat template that its name chooses; with all
    their bits, where the engine rounds them (`?weights=int8`). Raises `UserError` if its name does
    not say it, if the weights of the folder itself are rounded to fewer than 16 bits, or if what
    training needs is not installed."""
    need("accelerate", "train")
    if spec and (named := Spec.read(spec)).scheme in _HERE:
        folder = _folder(spec)
        if bits := _rounded(named.place, folder):
            raise UserError(f"{spec} has weights in {bits}, {_untrainable(named.place)}")
        return folder
    raise UserError(
        "only a policy of the form local:FOLDER can be trained, not "
        + (
            f"{spec}; name the folder of its weights: base=FOLDER"
            if spec
            else "none: name one as engines.policy"
        )
    )


def rounded_by(spec: str) -> str:
    """How an engine rounds the weights of its model's folder; empty if it does not."""
    kind = Spec.read(spec).settings.get("weights", "f16")
    return "" if kind == "f16" else kind


def _rounded(place: str, folder: Path) -> str:
    """How the weights of a model are rounded where they lie; empty if they are not."""
    if place.endswith(".gguf"):
        return quantised(Path(place))
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""  # whoever reads it says what is wrong with it
    return str((config.get("quantization_config") or {}).get("quant_method", ""))


def _untrainable(place: str) -> str:
    """That weights which are rounded where they lie cannot be trained, and what can be done."""
    own = "name the folder of those that can: base=FOLDER"
    if place.endswith(".gguf"):
        made = shlex.join(("whorl", "fetch", place, "--out", Path(place).stem))
        own = f"make a folder of them: {made}, or {own}"
    return f"which cannot be trained; {own}"


def _follows(old: str, spec: str) -> bool:
    """Whether `spec` names another folder for the engine that `old` names."""
    return spec == following(old, Path(Spec.read(spec).place))


def following(spec: str, folder: Path) -> str:
    """The engine that answers for `folder` as that of `spec` did for another one."""
    named = Spec.read(spec)
    if named.scheme not in _HERE:
        return str(Spec("local", str(folder)))
    # what the name says of the chat template is in the folder of whatever was trained under it
    return str(replace(named, place=str(folder), query=urlencode(engine_settings(spec))))


def _folder(spec: str) -> Path:
    return find_model(spec).folder
