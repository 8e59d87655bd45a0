"""What an engine gives back."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.training.engines.member import Member, MemberCard


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """One engine's training, over; the same on every rank.

    Attributes:
        member: What predicts, up to the best round.
        card: What is known of it; its weight is not decided yet.
        history: Validation AUC after each round or epoch that was tried.
        external_memory: Whether rows were paged from scratch disk.
        device: ``cpu`` or ``cuda``.
    """

    member: Member
    card: MemberCard
    history: tuple[float, ...]
    external_memory: bool
    device: str
