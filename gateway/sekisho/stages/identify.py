"""identify: who asks, by which credential. Nobody is anonymous.

The credential may only narrow what its principal may do: by its scopes, and by the models it was
made for.
"""

from __future__ import annotations

from sekisho.errors import Forbidden
from sekisho.model.limits import matches
from sekisho.model.principal import Principal, Role, Scope, Shown
from sekisho.ports import Directory


async def identify(shown: Shown, directory: Directory) -> Principal:
    """The principal behind what was shown, who may ask a model.

    Raises NotAuthenticated for a credential that is missing or not accepted, Forbidden
    (`role_missing`, `scope_missing`) if it is good but not for asking.
    """
    principal = await directory.find(shown)
    if Role.EMPLOYEE not in principal.roles:
        message = (
            f"Asking a model needs the role employee, and {principal.id} does not have it. Ask an "
            "operator for it."
        )
        raise Forbidden(message, code="role_missing")
    if Scope.ASK not in principal.scopes:
        message = (
            f"{principal.key_said} was not made for asking models (scope ask). Use another one."
        )
        raise Forbidden(message, code="scope_missing")
    return principal


def may_ask(principal: Principal, model: str) -> bool:
    """Whether the credential was made for this model; one that names none is for any."""
    return principal.models is None or any(matches(one, model) for one in principal.models)


def within_credential(principal: Principal, model: str) -> None:
    """Raises Forbidden (`model_not_for_key`) if the credential was made for other models."""
    if may_ask(principal, model):
        return
    named = ", ".join(principal.models or ())
    message = (
        f"{principal.key_said} may ask {named} only. Use another key, or ask an operator for one."
    )
    raise Forbidden(message, code="model_not_for_key")
