"""One request body for each hosted field of each dialect: tools that would run at the backend."""

from __future__ import annotations

from typing import Any


def body(content: Any = "hi", **more: Any) -> dict[str, Any]:
    """A request with one message."""
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


def tool(**item: Any) -> dict[str, Any]:
    """A request with one tool."""
    return body(tools=[item])


def part(**item: Any) -> dict[str, Any]:
    """A request whose message has one part."""
    return body([item])


HOSTED: dict[str, dict[str, dict[str, Any]]] = {
    "openai": {
        "web_search_options": body(web_search_options={}),
        "store": body(store=True),
        "previous_response_id": body(previous_response_id="resp_1"),
        "conversation": body(conversation="conv_1"),
        "prompt": body(prompt={"id": "pmpt_1"}),
        "background": body(background=True),
        "tools.web_search": tool(type="web_search"),
        "tools.web_search_preview": tool(type="web_search_preview"),
        "tools.file_search": tool(type="file_search", vector_store_ids=["vs_1"]),
        "tools.code_interpreter": tool(type="code_interpreter", container={"type": "auto"}),
        "tools.image_generation": tool(type="image_generation"),
        "tools.computer_use_preview": tool(type="computer_use_preview"),
        "tools.mcp": tool(type="mcp", server_url="https://example.com"),
        "tools.local_shell": tool(type="local_shell"),
        "tool_choice.web_search_preview": body(tool_choice={"type": "web_search_preview"}),
        "tool_choice.mcp": body(
            tool_choice={"type": "allowed_tools", "allowed_tools": {"tools": [{"type": "mcp"}]}}
        ),
        "content.image_url": part(type="image_url", image_url={"url": "https://example.com/a"}),
        "content.file_id": part(type="file", file={"file_id": "file-1"}),
        "content.file_url": part(type="input_file", file_url="https://example.com/a.pdf"),
        "messages.audio": {
            "model": "m", "messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]
        },
    },
    "anthropic": {
        "mcp_servers": body(mcp_servers=[{"url": "https://example.com"}]),
        "container": body(container="container_1"),
        "context_management": body(context_management={"edits": []}),
        "tools.web_search_20250305": tool(type="web_search_20250305", name="web_search"),
        "tools.web_fetch_20250910": tool(type="web_fetch_20250910", name="web_fetch"),
        "tools.code_execution_20250825": tool(type="code_execution_20250825", name="x"),
        "tools.computer_20250124": tool(type="computer_20250124", name="computer"),
        "tools.bash_20250124": tool(type="bash_20250124", name="bash"),
        "tools.text_editor_20250728": tool(type="text_editor_20250728", name="edit"),
        "tools.memory_20250818": tool(type="memory_20250818", name="memory"),
        "content.image.url": part(type="image", source={"type": "url", "url": "https://x"}),
        "content.document.file": part(type="document", source={"type": "file", "file_id": "f"}),
    },
    "dashscope": {
        "enable_search": body(enable_search=True),
        "search_options": body(search_options={"forced_search": True}),
        "enable_code_interpreter": body(enable_code_interpreter=True),
        "plugins": body(plugins={"calculator": {}}),
        "enable_source": body(enable_source=True),
        "rag_options": body(rag_options={"pipeline_ids": ["x"]}),
    },
    "qianfan": {
        "web_search": body(web_search={"enable": True}),
        "disable_search": body(disable_search=False),
        "enable_citation": body(enable_citation=True),
        "enable_trace": body(enable_trace=True),
        "tools.web_search": tool(type="web_search", web_search={"enable": True}),
        "tools.retrieval": tool(type="retrieval", retrieval={"knowledge_id": "1"}),
    },
    "gemini": {
        "tools.google_search": tool(google_search={}),
        "tools.googlesearch": tool(googleSearch={}),
        "tools.google_search_retrieval": tool(google_search_retrieval={}),
        "tools.code_execution": tool(code_execution={}),
        "tools.codeexecution": tool(codeExecution={}),
        "tools.url_context": tool(url_context={}),
        "tools.urlcontext": tool(urlContext={}),
        "tools.google_maps": tool(google_maps={}),
        "tools.file_search": tool(file_search={}),
        "cached_content": body(cached_content="cachedContents/1"),
        "content.filedata": part(fileData={"fileUri": "gs://bucket/a"}),
        "cachedcontent": body(extra_body={"google": {"cachedContent": "x"}}),
        "google_search": body(extra_body={"google": {"google_search": {}}}),
    },
    "zhipu": {
        "tools.web_search": tool(type="web_search", web_search={"enable": True}),
        "tools.retrieval": tool(type="retrieval", retrieval={}),
        "tools.web_browser": tool(type="web_browser"),
        "tools.drawing_tool": tool(type="drawing_tool"),
    },
    "moonshot": {
        "tools.builtin_function": tool(
            type="builtin_function", function={"name": "$web_search"}
        ),
        "tools.function": tool(type="function", function={"name": "$web_search"}),
    },
    "others": {
        "search_parameters": body(search_parameters={"mode": "on"}),
        "enable_enhancement": body(enable_enhancement=True),
        "data_sources": body(data_sources=[{"type": "azure_search"}]),
        "use_deep_browse": body(use_deep_browse=True),
        "knowledge_ids": body(knowledge_ids=["1"]),
        "agent_id": body(agent_id="1"),
        "content.video_url": part(type="video_url", video_url={"url": "https://example.com/v"}),
    },
    "by any name": {
        "content.file_uri": part(file_data={"file_uri": "https://example.com/a"}),
        "content.images": part(type="image", images=["https://example.com/a"]),
        "content.mcp_servers": {
            "model": "m",
            "messages": [{"role": "user", "content": "hi", "mcp_servers": [{"name": "x"}]}],
        },
        "content.url": body(citations_of=[{"url": "s3://bucket/a"}]),
        "functions.$web_search": body(functions=[{"name": "$web_search"}]),
        "tools.function": tool(
            type="function", function={"name": "f", "server_url": "https://example.com"}
        ),
        "tool_choice.web_search": body(tool_choice="web_search"),
        "tool_choice.malformed": body(tool_choice={"type": []}),
        "enable_search": body(enable_search="false"),
        "disable_search": body(disable_search=0),
    },
}  # fmt: skip
