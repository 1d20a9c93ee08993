"""Where the page is found: its port, and its address in words."""

HTTP_PORT, OTHER_PORT = 80, 8080
"""An address without a port means 80. A process that may not use that port, or finds it taken, takes the other."""

NAME = "bedside.local"


def ports(wanted: int) -> tuple[int, ...]:
    """The ports to try, in this order."""
    return (HTTP_PORT, OTHER_PORT) if wanted == HTTP_PORT else (wanted,)


def port_text(port: int) -> str:
    """The port as an address has it."""
    return "" if port == HTTP_PORT else f":{port}"


def url(name: str, port: int) -> str:
    """The page's address at a name."""
    return f"http://{name}{port_text(port)}/"
