"""The tokenizer of an engine, wherever its model runs."""

from whorl.chat import Chat
from whorl.engines.model import find_model
from whorl.engines.spec import HERE, Spec


def chat_of(spec: str) -> Chat | None:
    """Tokenizer and chat template of the engine that `spec` names; None if a server's is not known.
    Raises `UserError` if it cannot be read."""
    named = Spec.read(spec)
    if named.scheme in HERE:
        return Chat.load(find_model(spec).folder)
    from whorl.engines.server.tokenizer import load_chat

    settings = named.settings
    return load_chat(settings.get("tokenizer", ""), settings.get("model", ""))
