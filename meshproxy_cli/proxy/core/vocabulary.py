"""What a provider's request may contain, as far as a limit on models and the isolation of rooms depend on it.

The names are those of the OpenAI and Anthropic APIs of November 2026, and the sampling options of compatible servers.
A name that is missing here is refused where a limit on models applies, until a host allows it for the room: so a tool
or an option that is new at a provider cannot run a model that nobody allowed.
"""

import re
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Members of a request (a batch's entry, a session, a response to create) that name no model except by `model`.
OPTIONS: Final = _words("""
    access_programs anthropic_beta anthropic_version audio background background_options betas cache_control
    chat_template_kwargs chunking_strategy client_metadata client_secret compaction complexity container context
    context_management conversation diagnostics dimensions do_sample effort enable_thinking encoding_format event_id
    expires_after extra_query fallback_credit_token fallbacks file frame_count frame_duration_ms frequency_penalty
    function_call functions generate guided_choice guided_grammar guided_json guided_regex ignore_eos image include
    include_reasoning inference_geo input input_audio_format input_audio_noise_reduction input_audio_transcription
    input_fidelity instructions item keywords known_speaker_names known_speaker_references language languages
    length_penalty logit_bias logprobs mask max_completion_tokens max_output_tokens max_response_output_tokens
    max_tokens max_tokens_to_sample max_tool_calls mcp_servers message messages metadata min_p min_tokens mirostat
    modalities model moderation n num_ctx output_audio_format output_compression output_config
    output_format output_modalities parallel_tool_calls partial_images personality prediction prefill presence_penalty
    previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention quality reasoning
    reasoning_effort reasoning_format repeat_penalty repetition_penalty requests response response_format response_id
    safety_identifier seed service_tier session size skip_special_tokens speed stop stop_sequences stop_token_ids
    store stream stream_format stream_id stream_options style suffix svg system temperature text thinking
    thinking_budget timestamp_granularities tool_choice tool_stream tools top_a top_k top_logprobs top_p
    tracing truncation turn_detection type typical_p usage user user_profile_id verbosity voice web_search_options
    workspace_id
""")

_TYPES: Final = _words("""
    adaptive additional_tools agent_message all allowed_tools allowlist and anthropic any apply_patch approximate
    array audio audio/pcm audio/pcma audio/pcmu auto base64 batch between_tools billing_policy boolean bash browser
    browser_state browser_toolset char_location click clear_thinking clear_tool_uses code_execution code_interpreter
    commentary compact compaction compaction_summary compaction_trigger computer computer_screenshot computer_toolset
    computer_use computer_use_preview configuration_update container_auto container_reference container_upload content
    continue create create_file custom delete_file direct disabled document double_click download_completed
    download_failed download_started drag drop edit enabled encrypted_content ephemeral eq error except exec existing
    exit expand far_field file file_path file_search fallback find_in_page function functions grammar gt gte image
    image_file image_url in inline input_audio input_file input_image input_text input_tokens integer item_reference
    json json_object json_schema keypress live local local_shell logs lt lte mcp mcp_approval_request
    mcp_approval_response mcp_list_tools mcp_tool_listing mcp_tool_reference mcp_tool_use mcp_toolset
    mcp_toolset_reference memory message move namespace ne near_field never nin none null number object once only
    open_page or output_audio output_text pcm16 program programmatic_tool_calling realtime reasoning reasoning_text
    reasoning.encrypted reasoning.summary reasoning.text redacted redacted_thinking refusal retention_ratio screenshot
    scroll search search_result semantic_vad server_tool_use server_vad shell skill skill_reference static
    str_replace_based_edit_tool string summarize summary_text system tab_opened text text_editor text_plain thinking
    thinking_turns timeout tokens tool tool_addition tool_definition tool_reference tool_removal tool_search
    tool_search_tool_bm25 tool_search_tool_regex tool_use tool_uses transcription tracing type unrestricted
    update_file url video video_url view wait web_fetch web_search web_search_preview
""")
#: Types of tools that run a model beside the answering one, or let the provider choose one: they must name it.
RUNS_MODEL: Final = frozenset({"image_generation", "advisor"})
_VERSION = re.compile(r"_(?:\d{8}|\d{4}_\d{2}_\d{2})$")
_RECORD = re.compile(
    r"[a-z_]{1,60}_(?:call|call_output|output|result|error|location|citation|info)"
    r"|(?:session|response|conversation\.item|(?:in|out)put_audio_buffer|transcription_session)\.[a-z_]{1,40}"
)

#: Input items of the Responses API that carry all that they say, so that their id refers to nothing.
INLINE_ITEMS: Final = _words("""
    additional_tools agent_message apply_patch_call apply_patch_call_output compaction_trigger computer_call
    computer_call_output configuration_update custom_tool_call custom_tool_call_output function_call
    function_call_output local_shell_call local_shell_call_output mcp_approval_response message shell_call
    shell_call_output tool_search_call tool_search_output
""")
#: Items that carry all that they say where their content comes with them, encrypted.
SEALED_ITEMS: Final = frozenset({"compaction", "compaction_summary", "reasoning"})

#: Members whose value (an id, or a list of ids) is an object of the provider's account that no room can create.
FOREIGN: Final = frozenset({
    "file_id", "file_ids", "input_file_id", "vector_store_id", "vector_store_ids", "tunnel_id", "memory_store_id",
    "vault_ids", "user_profile_id", "workspace_id", "environment_id", "environment_template_id", "credential_id",
})  # fmt: skip
#: Members whose value is an id of something that an answer brought.
FROM_ANSWERS: Final = frozenset({
    "previous_response_id", "comparison_response_id", "response_id", "continuation_id", "previous_message_id",
    "container_id", "approval_request_id",
})  # fmt: skip
#: Of these, the ids that a realtime session makes for itself: they lead nowhere outside of its websocket.
OF_THE_SESSION: Final = frozenset({"response_id", "approval_request_id"})
#: Members that are objects of the account where they have an `id`, such as a stored prompt, a voice, or spoken words.
FOREIGN_OBJECTS: Final = frozenset({"prompt", "voice", "audio"})


def family(kind: str) -> str:
    """Return a type without the date of its version."""
    return _VERSION.sub("", kind)


def is_known_type(kind: str, *, tool: bool = False) -> bool:
    """Whether a `type` of a request is known, and runs no model beside the answering one; `tool`: it is a tool's."""
    if kind in _TYPES or family(kind) in _TYPES:
        return True
    return not tool and _RECORD.fullmatch(kind) is not None


def is_record_of_file(kind: str) -> bool:
    """Whether an object of that type only tells of a file: a provider does not open it."""
    return kind.endswith(("_citation", "code_execution_output")) or kind == "file_path"


def refers_by_id(kind: object, *, sealed: bool, whole: bool) -> bool:
    """Whether an item refers to a stored one by its id: `sealed` ones bring their content, `whole` messages too."""
    if kind is None:
        return not whole
    if kind in SEALED_ITEMS:
        return not sealed
    return kind not in INLINE_ITEMS


def is_opaque(name: str, kind: str) -> bool:
    """Whether a member of an object of type `kind` is the client's own affair: schemas, arguments, metadata.

    A provider hands such a value to a model, a tool of the client or an MCP server, and acts on nothing in it.
    """
    if name in _OPAQUE or name.endswith("_schema"):
        return True
    if name in _OPAQUE_OF:
        return kind in _OPAQUE_OF[name]
    if name == "input":
        return kind.endswith("tool_use")
    return name in {"action", "actions"} and kind.endswith("_call")


_OPAQUE: Final = frozenset({
    "arguments", "chat_template_kwargs", "client_metadata", "guided_json", "headers", "logit_bias", "metadata",
})  # fmt: skip
# By the type of the object that they are a member of, "" where it has none.
_OPAQUE_OF: Final = {
    "parameters": frozenset({"", "function", "tool_search", "custom"}),
    "schema": frozenset({"", "json_schema"}),
    "format": frozenset({"custom"}),
}
