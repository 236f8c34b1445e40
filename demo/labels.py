"""The labels of Open Images that the demo's pool needs: real ids, a part of the hierarchy."""

from typing import Any

CLASS_LABELS = {
    "boat": "/m/019jd",
    "horse": "/m/03k3r",
    "train": "/m/07jdr",
}

FINER_LABELS = {
    "sailboat": "/m/0hsrw",
    "motorboat": "/m/02rlv9",
    "fishing vessel": "/m/02q13x7",
    "canoe": "/m/0ph39",
    "ferry": "/m/0ddnl",
    "mare": "/m/0c23pz",
    "pony": "/m/01fzz2",
    "foal": "/m/04f44c",
    "stallion": "/m/0c0ygc",
    "commuter train": "/m/025s53m",
    "high-speed train": "/m/0m_bl",
    "steam locomotive": "/m/04h5c",
    "freight train": "/m/05252qc",
}

BACKGROUND_LABELS = {
    "water": ("/m/0838f", "/m/06npx", "/m/01bqvp"),
    "meadow": ("/m/025st_8", "/m/01c7cq", "/m/08t9c_"),
    "rails": ("/m/06d_3", "/m/01vk9q", "/m/01bqvp"),
    "house fronts": ("/m/03jm5", "/m/0cgh4", "/m/01c8br"),
    "desert": ("/m/0284w", "/m/099fz"),
    "mountains": ("/m/09d_r", "/m/04wxr"),
    "pattern": ("/m/0hwky", "/m/0jjw"),
}

NAMES = {
    "/m/019jd": "Boat",
    "/m/03k3r": "Horse",
    "/m/07jdr": "Train",
    "/m/0hsrw": "Sailboat",
    "/m/02rlv9": "Speedboat",
    "/m/02q13x7": "Fishing vessel",
    "/m/0ph39": "Canoe",
    "/m/0ddnl": "Ferry",
    "/m/0c23pz": "Mare",
    "/m/01fzz2": "Pony",
    "/m/04f44c": "Foal",
    "/m/0c0ygc": "Stallion",
    "/m/025s53m": "Rolling stock",
    "/m/0m_bl": "Bullet train",
    "/m/04h5c": "Locomotive",
    "/m/05252qc": "Freight car",
    "/m/01bqvp": "Sky",
    "/m/05s2s": "Plant",
    "/m/0838f": "Water",
    "/m/06npx": "Sea",
    "/m/025st_8": "Meadow",
    "/m/01c7cq": "Grassland",
    "/m/08t9c_": "Grass",
    "/m/06d_3": "Railway",
    "/m/01vk9q": "Track",
    "/m/02crq1": "Couch",
    "/m/0dtln": "Lamp",
    "/m/03jm5": "House",
    "/m/0cgh4": "Building",
    "/m/01c8br": "Street",
    "/m/0284w": "Desert",
    "/m/099fz": "Sand",
    "/m/09d_r": "Mountain",
    "/m/04wxr": "Mountain range",
    "/m/0hwky": "Pattern",
    "/m/0jjw": "Art",
    "/m/07yv9": "Vehicle",
    "/m/01prls": "Land vehicle",
    "/m/01rzcn": "Watercraft",
    "/m/0jbk": "Animal",
    "/m/04rky": "Mammal",
    "/m/0c_jw": "Furniture",
}


def _node(label: str, *below: dict[str, Any]) -> dict[str, Any]:
    return {"LabelName": label, **({"Subcategory": list(below)} if below else {})}


HIERARCHY = _node(
    "/m/0bl9f",
    _node(
        "/m/07yv9",
        _node("/m/01prls", _node("/m/07jdr")),
        _node("/m/01rzcn", _node("/m/019jd", _node("/m/0ph39"))),
    ),
    _node(
        "/m/0jbk",
        _node("/m/04rky", _node("/m/03k3r")),
    ),
    _node("/m/0c_jw", _node("/m/02crq1")),
    _node("/m/0cgh4", _node("/m/03jm5")),
    _node("/m/0dtln"),
    _node("/m/05s2s"),
)
"""Laid out as bbox_labels_600_hierarchy.json."""
