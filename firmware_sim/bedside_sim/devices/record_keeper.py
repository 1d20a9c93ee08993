"""A device that keeps its measurements under numbers and hands them over when a hub asks, by record access (2A52)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.bluetooth import record_access
from bedside_profiles.bluetooth.record_access import (
    CONTROL_POINT,
    NO_RECORDS_FOUND,
    SUCCESS,
    Operation,
    Operator,
    RecordRequest,
    encode_response,
)
from bedside_profiles.errors import DecodeError
from bedside_sim.devices.peripheral import Peripheral, RefusedError

OPERATOR_NOT_SUPPORTED = 4

Payloads = Sequence[tuple[str, bytes]]
"""What hands over one record: characteristics and values."""


@dataclass(slots=True)
class KeeperFaults:
    """`cut_after` records of one report the link ends, once. `is_silent`: no answer comes. `ends_the_link`: once
    a report is whole. `refuses`: every request is
    refused. `only_all`: it cannot choose among its records."""

    cut_after: int | None = None
    is_silent: bool = False
    ends_the_link: bool = False
    refuses: bool = False
    only_all: bool = False


class RecordKeeper:
    """The memory and its control point, for one peripheral. `requests` are what hubs have asked for.

    `handed_over` counts records, `reports` those whose end a hub has confirmed.
    """

    def __init__(self, faults: KeeperFaults | None = None) -> None:
        self.faults = faults or KeeperFaults()
        self.records: dict[int, Payloads] = {}
        self.requests: list[RecordRequest] = []
        self.handed_over = 0
        self.reports = 0
        self._peripheral: Peripheral | None = None
        self._report: asyncio.Task[None] | None = None

    def belongs_to(self, peripheral: Peripheral) -> None:
        """Whose link the records go over."""
        self._peripheral = peripheral

    def heed(self, payload: bytes) -> None:
        """See `peripheral.Heed`."""
        if self.faults.refuses:
            raise RefusedError
        try:
            request = RecordRequest.from_bytes(payload)
        except DecodeError as error:
            raise RefusedError from error
        self.requests.append(request)
        if self._report is not None:
            self._report.cancel()
        if not self.faults.is_silent:
            self._report = asyncio.create_task(self._answer(request))

    async def _answer(self, request: RecordRequest) -> None:
        peripheral = self._peripheral
        assert peripheral is not None  # noqa: S101 - it belongs to one before a hub can ask
        if request.operation is not Operation.REPORT:
            await peripheral.hand_over(CONTROL_POINT, encode_response(request.operation))
            return
        if self.faults.only_all and request.operator is not Operator.ALL:
            refusal = record_access.encode_response(request.operation, OPERATOR_NOT_SUPPORTED)
            await peripheral.hand_over(CONTROL_POINT, refusal)
            return
        chosen = self._chosen(request)
        for place, number in enumerate(chosen):
            if place == self.faults.cut_after:
                self.faults.cut_after = None
                await peripheral.drop()
                return
            for characteristic, payload in self.records[number]:
                if await peripheral.hand_over(characteristic, payload) is None:
                    return
            self.handed_over += 1
        code = SUCCESS if chosen else NO_RECORDS_FOUND
        if await peripheral.hand_over(CONTROL_POINT, encode_response(request.operation, code)) is not None:
            self.reports += 1
            if self.faults.ends_the_link:
                await peripheral.drop()

    def _chosen(self, request: RecordRequest) -> list[int]:
        numbers = sorted(self.records)
        if request.operator is Operator.FROM:
            (bound,) = request.bounds
            assert isinstance(bound, int)  # noqa: S101 - a simulated device counts, and a hub asks by number
            return [number for number in numbers if number >= bound]
        if request.operator is Operator.LAST:
            return numbers[-1:]
        return numbers[:1] if request.operator is Operator.FIRST else numbers
