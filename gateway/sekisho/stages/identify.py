"""identify: who asks, by which credential. Nobody is anonymous."""

from __future__ import annotations

from sekisho.errors import Forbidden, NotAuthenticated
from sekisho.model.principal import Principal, Role
from sekisho.ports import Directory


async def identify(secret: str, directory: Directory) -> Principal:
    """The principal behind a presented key.

    Raises NotAuthenticated for a missing or unknown key (the two are told apart only by text that
    does not depend on what is stored), Forbidden if the person may not ask a model at all.
    """
    if not secret:
        message = (
            "No API key was sent. Put your Sekisho key (sk-sekisho-…) where your client "
            "expects the OpenAI key."
        )
        raise NotAuthenticated(message)
    principal = await directory.find(secret)
    if principal is None:
        message = "This API key is not known, was revoked, or has expired. Ask an operator for one."
        raise NotAuthenticated(message)
    if Role.EMPLOYEE not in principal.roles:
        message = "This key belongs to nobody with the role employee, which asking a model needs."
        raise Forbidden(message, code="role_missing")
    return principal
