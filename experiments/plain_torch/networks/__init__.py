"""The networks of the plain_torch benchmark, split once into those to choose policies by and those to report on."""

from lrpilot.experiments.plain_torch.network import Network, Role
from lrpilot.experiments.plain_torch.networks import codes, large, relations, sequences, tables, texts, vision

NETWORKS: dict[str, Network] = {
    network.name: network
    for theme in (tables, vision, codes, texts, sequences, relations, large)
    for network in theme.NETWORKS
}


def networks_of(role: Role) -> list[Network]:
    """Return the networks of a role.

    Args:
        role: "validation", "test" or "large".

    Example:
        >>> {len(networks_of(role)) >= 13 for role in ("validation", "test")}, len(networks_of("large"))
        ({True}, 2)
    """
    return [network for network in NETWORKS.values() if network.role == role]
