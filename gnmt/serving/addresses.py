"""Addresses in the options of a server: trusted proxies and other origins."""

import ipaddress
import re

from gnmt.errors import UserError

ALL = "*"
ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
DEFAULT_PORTS = {"http": "80", "https": "443"}


def check_proxy(address: str) -> None:
    """Checks the address of a proxy, which is compared with the address of each connection.

    Args:
        address: IP address or network; several are separated by commas.

    Raises:
        UserError: if one of them is neither an IP address nor a network.
    """
    for part in address.split(","):
        try:
            ipaddress.ip_network(part.strip())
        except ValueError as error:
            raise UserError(
                f"--proxy is {part.strip()!r}, but must be an IP address or network, such as 127.0.0.1 or 10.0.0.0/8."
            ) from error


def origin_of(url: str) -> str:
    """Returns an origin as browsers send it: in lower case, without slash at the end and without default port.

    Args:
        url: scheme://host or scheme://host:port, or "*" for all origins.

    Raises:
        UserError: if `url` is not an origin.
    """
    if url == ALL:
        return url
    match = ORIGIN.fullmatch(url.lower().removesuffix("/"))
    if match is None:
        raise UserError(
            f"--allow-origin is {url!r}, but must be {ALL} or SCHEME://HOST[:PORT], such as https://example.org."
        )
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" if port in (None, DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"
