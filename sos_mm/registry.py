"""Builds objects from dicts with a ``type``, as configs and recipes hold them, without mmengine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from inspect import signature
from typing import Any, Generic, TypeVar

from sos_mm.checks import check_boolean, check_choice, check_integer

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
            ValueError: If the type or an option is unknown (names the nearest one), or an option must be true or false
                or an integer, but is not.
        """
        if not isinstance(config, Mapping):
            what = self._type_name.removesuffix(".type")
            raise ValueError(f"`{what}` must be a dict with a `type`, but got {config!r}.")
        name: Any = config.get("type")
        check_choice(self._type_name, name, self)
        for key, value in config.items():
            if key != "type":
                check_choice(self._key_name.format(type=name), key, self.keys_of(name))
                self._check_type(name, key, value)

    def _check_type(self, name: str, key: str, value: Any) -> None:
        """Checks an option that must be true or false or an integer, by the annotation of the factory's parameter."""
        parameter = signature(self[name]).parameters.get(key)
        annotation = None if parameter is None else parameter.annotation
        if annotation is bool:
            check_boolean(key, value)
        elif annotation is int:
            check_integer(key, value, -(2**63), 2**63 - 1)

    def build(self, config: Mapping[str, Any]) -> Built:
        """Builds an object from its ``type`` and options.

        Raises:
            ValueError: From `check`, and from the type itself.
        """
        self.check(config)
        options = {key: value for key, value in config.items() if key != "type"}
        factory = self[config["type"]]
        try:
            return factory(**options)
        except (AttributeError, LookupError, OverflowError, TypeError) as error:
            # An option is of another type, such as a number in place of a list.
            text = f"`{self._type_name}` {config['type']!r} cannot be made with {options!r}: {error}."
            raise ValueError(text) from error
