"""Builds objects from dicts with a ``type``, as configs and recipes hold them; without mmengine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from typing import Any, Generic, TypeVar

from sos_mm.checks import check_choice

Built = TypeVar("Built")
Factory = TypeVar("Factory", bound=Callable)


class Registry(Mapping, Generic[Built]):
    """Maps names to what makes an object, a dataclass of its options or a function.

    Args:
        type_name: What an error calls the type, such as 'layout.type'.
        key_name: What it calls an option, such as 'key of layout'; ``{type}`` in it stands for the type.
        factories: By name.
        keys: Options by name, of those whose parameters are not all that they take.
    """

    def __init__(
        self,
        type_name: str,
        key_name: str,
        factories: Mapping[str, Callable[..., Built]] | None = None,
        keys: Mapping[str, Sequence[str]] | None = None,
    ):
        self._type_name, self._key_name = type_name, key_name
        self._factories, self._keys = dict(factories or {}), dict(keys or {})

    def __getitem__(self, name: str) -> Callable[..., Built]:
        return self._factories[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._factories)

    def __len__(self) -> int:
        return len(self._factories)

    def register(self, factory: Factory) -> Factory:
        """Makes a class known by its own name; use it as a decorator."""
        self._factories[factory.__name__] = factory
        return factory

    def keys_of(self, name: str) -> tuple[str, ...]:
        """Lists the options of a type."""
        return tuple(self._keys.get(name) or signature(self._factories[name]).parameters)

    def check(self, config: Mapping[str, Any]) -> None:
        """Checks the words of a dict without making anything.

        Raises:
            ValueError: If the type or an option is unknown; says the nearest one.
        """
        name: Any = config.get("type")
        check_choice(self._type_name, name, self._factories)
        for key in config:
            if key != "type":
                check_choice(self._key_name.format(type=name), key, self.keys_of(name))

    def build(self, config: Mapping[str, Any]) -> Built:
        """Makes an object from its ``type`` and options.

        Raises:
            ValueError: As `check`, and as the type itself does.
        """
        self.check(config)
        return self._factories[config["type"]](**{key: value for key, value in config.items() if key != "type"})
