"""Builds objects from dicts with a ``type``, as configs and recipes hold them, without mmengine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from inspect import signature
from typing import Any, Generic, TypeVar

from sos_mm.checks import check_choice

Built = TypeVar("Built")
Factory = TypeVar("Factory", bound=Callable)


class Registry(Mapping, Generic[Built]):
    """A mapping from names to factories: dataclasses of options, or functions.

    Args:
        type_name: Name of the type in error messages, such as 'layout.type'.
        key_name: Name of an option in error messages, such as 'key of layout'; ``{type}`` stands for the type.
        factories: Factories by name.
        keys: Names of the options, for factories whose parameters do not list all of them.
        elsewhere: Names that modules which are not imported yet register, each with its module.
    """

    def __init__(
        self,
        type_name: str,
        key_name: str,
        factories: Mapping[str, Callable[..., Built]] | None = None,
        keys: Mapping[str, Sequence[str]] | None = None,
        elsewhere: Mapping[str, str] | None = None,
    ):
        self._type_name, self._key_name = type_name, key_name
        self._factories, self._keys = dict(factories or {}), dict(keys or {})
        self._elsewhere = dict(elsewhere or {})

    def __getitem__(self, name: str) -> Callable[..., Built]:
        if name not in self._factories and name in self._elsewhere:
            import_module(self._elsewhere[name])
        return self._factories[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._factories, *self._elsewhere]))

    def __len__(self) -> int:
        return len(self._factories.keys() | self._elsewhere.keys())

    def register(self, factory: Factory) -> Factory:
        """Registers a class under its own name; used as a decorator."""
        self._factories[factory.__name__] = factory
        return factory

    def keys_of(self, name: str) -> tuple[str, ...]:
        """Returns the options of a type."""
        return tuple(self._keys.get(name) or signature(self[name]).parameters)

    def check(self, config: Mapping[str, Any]) -> None:
        """Checks the keys of a dict without building anything.

        Raises:
            ValueError: If the type or an option is unknown; names the nearest one.
        """
        name: Any = config.get("type")
        check_choice(self._type_name, name, self)
        for key in config:
            if key != "type":
                check_choice(self._key_name.format(type=name), key, self.keys_of(name))

    def build(self, config: Mapping[str, Any]) -> Built:
        """Builds an object from its ``type`` and options.

        Raises:
            ValueError: From `check`, and from the type itself.
        """
        self.check(config)
        return self[config["type"]](**{key: value for key, value in config.items() if key != "type"})
