"""The result of an engine's training."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.training.engines.member import Member, MemberCard


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """One engine's finished training; the same on every rank.

    Attributes:
        member: The trained member, up to the best round.
        card: Its card; the weight is fitted later.
        history: Validation metric after each round or epoch.
        external_memory: Whether rows were read from scratch disk.
        device: ``cpu`` or ``cuda``.
    """

    member: Member
    card: MemberCard
    history: tuple[float, ...]
    external_memory: bool
    device: str
