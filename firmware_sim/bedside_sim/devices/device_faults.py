"""What can go wrong with one device in the air, by the name of what it does. ValueError where it cannot do that."""

from bedside_sim.devices.device import Device
from bedside_sim.devices.glucose_meter import GlucoseMeter
from bedside_sim.devices.glucose_sensor import GlucoseSensor
from bedside_sim.devices.peripheral import Peripheral
from bedside_sim.devices.radio_device import RadioDevice
from bedside_sim.devices.scale import WeightScale
from bedside_sim.devices.thermometer import Thermometer


def sleep_after(device: Device, seconds: float | None) -> None:
    """From its next connection on it sleeps after so many seconds of each; None: never."""
    _peripheral(device).awake_seconds = seconds


async def forget_bonds(device: Device) -> None:
    """As after its batteries were out."""
    await _peripheral(device).forget_bonds()


def drift(device: Device, seconds: float) -> None:
    """Its clock goes ahead by so much more."""
    player = _player(device)
    if not isinstance(player, GlucoseMeter | Thermometer | WeightScale):
        raise ValueError(f"{device.device_id} has no clock that can drift")
    player.clock.drift(seconds)


def refuse(device: Device, *, refuses: bool) -> None:
    """It gives out nothing of its memory when it is asked."""
    player = _player(device)
    if not isinstance(player, GlucoseMeter | GlucoseSensor):
        raise ValueError(f"{device.device_id} cannot refuse: it has no memory that is asked for by record access")
    player.keeper.faults.refuses = refuses


async def settle(device: Device, celsius: float) -> None:
    """The intermediate values before that temperature."""
    player = _player(device)
    if not isinstance(player, Thermometer):
        raise ValueError(f"{device.device_id} says no intermediate values")
    await player.settle(celsius)


def _player(device: Device) -> object:
    return device.player if isinstance(device, RadioDevice) else device


def _peripheral(device: Device) -> Peripheral:
    player = _player(device)
    if not isinstance(player, Peripheral):
        raise ValueError(f"nobody connects to {device.device_id} over Bluetooth")
    return player
