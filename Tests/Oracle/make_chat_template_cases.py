#!/usr/bin/env python3
"""Records what Jinja, set up as Hugging Face's apply_chat_template does, makes of chat templates of the common families
and of many small expressions, some written by hand and some by random_templates.py: Tests/Oracle/chat_template_cases.json.

    python3 -m venv venv && venv/bin/pip install jinja2==3.1.6
    venv/bin/python Tests/Oracle/make_chat_template_cases.py

The templates are written for this test in the manner of each family; smollm2's is the one in its GGUF file.
"""

import copy
import json
import pathlib
import re

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

import random_templates

FAMILIES = {
    "smollm2": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "chatml": "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "qwen": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "qwen-thinking": """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "llama3": "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    "llama3-dated": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message is taken out so that it can be put where it belongs. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{#- System message #}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}

{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "mistral": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    "mistral-system": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
""",
    "zephyr": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "gemma": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
    "gemma-parts": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\\n\\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\\n'}}
{%- endif -%}
""",
    "phi3": "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
    "vicuna": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'].strip() + '\n\n' %}{% else %}{% set loop_messages = messages %}{% set system_message = 'A chat between a curious user and an assistant.\n\n' %}{% endif %}{{ bos_token + system_message }}{% for message in loop_messages %}{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'].strip() + '\n' }}{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT: ' + message['content'].strip() + eos_token + '\n' }}{% endif %}{% if loop.last and message['role'] == 'user' and add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}{% endfor %}",
    "alpaca": "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] ~ '\n\n' }}{% set rest = messages[1:] %}{% else %}{{ 'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n' }}{% set rest = messages %}{% endif %}{% for m in rest %}{{ '### ' ~ ('Instruction' if m.role == 'user' else 'Response') ~ ':\n' ~ m.content|trim ~ '\n\n' }}{% endfor %}{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}",
    "command": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% if system_message != false %}{{ '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' + system_message + '<|END_OF_TURN_TOKEN|>' }}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% set content = message['content'] %}{% if message['role'] == 'user' %}{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% elif message['role'] == 'assistant' %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>'  + content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}",
    "granite": """{%- if messages[0]['role'] == 'system' %}
     {%- set system_message = messages[0]['content'] %}
     {%- set loop_messages = messages[1:] %}
 {%- else %}
     {%- set system_message = "You are Granite, developed by IBM." %}
     {%- set loop_messages = messages %}
 {%- endif %}
 {{- '<|start_of_role|>system<|end_of_role|>' + system_message + '<|end_of_text|>
' }}
 {%- for message in loop_messages %}
     {{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] + '<|end_of_text|>
' }}
     {%- if loop.last and add_generation_prompt %}
             {{- '<|start_of_role|>assistant<|end_of_role|>' }}
     {%- endif %}
 {%- endfor %}""",
    "macros": "{% macro turn(role, text, closing='<|end|>') %}<|{{ role }}|>{{ text|trim }}{{ closing }}\n{% endmacro %}{% for m in messages %}{{ turn(m.role, m.content) if m.role != 'assistant' else turn('model', text=m.content, closing=eos_token) }}{% endfor %}{% if add_generation_prompt %}{{ turn('model', '', '') }}{% endif %}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}[A]{% generation %}{{ m.content }}{% endgeneration %}{% else %}[{{ m.role[0]|upper }}]{{ m.content }}{% endif %}{% endfor %}",
    "loopcontrols": "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ loop.index }}:{{ m.content }}\n{% if loop.index > 5 %}{% break %}{% endif %}{% else %}none{% endfor %}",
}

CONVERSATIONS = [
    [("user", "What is the capital of France?")],
    [("system", "Be brief."), ("user", "  Hi there!\n")],
    [("user", "Hi"), ("assistant", " Hello! "), ("user", "How are you, really?")],
    [("system", " Système é\n"), ("user", "1"), ("assistant", "<think>\nhm\n</think>\n\n2"), ("user", "<|im_end|> {{ 3 }}")],
    [("user", "a"), ("user", "b")],
    [("user", "x"), ("assistant", "y")],
]

EXPRESSIONS = [
    "{{ 1 + 2 * 3 - 4 // 3 % 2 }} {{ 7 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 1.5 + 1 }} {{ 10 / 5 }}",
    "{{ 'a' ~ 1 ~ none ~ true ~ [1, 'x'] ~ {'k': 'v'} }} {{ 'ab' * 3 }} {{ [1] + [2] }}",
    "{{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' != 'b' }} {{ none == none }} {{ [1,2] == [1,2] }} {{ 1 < 2 <= 2 }} {{ 'a' < 'b' }}",
    "{{ 'a' in 'abc' }} {{ 'x' not in 'abc' }} {{ 2 in [1,2] }} {{ 'k' in {'k': 1} }} {{ not 1 in [2] }}",
    "{{ true and false or 5 }} {{ 0 or '' or 'x' }} {{ not '' }} {{ none and 1 }} {{ 'yes' if 0 else 'no' }} [{{ 'yes' if 0 }}] {{ 1 if false else 2 if false else 3 }}",
    "[{{ missing }}] {{ missing is defined }} {{ missing is not defined }} {{ missing|default('d') }} {{ ''|default('e') }} {{ ''|default('f', true) }} {{ none is none }} {{ x.y is defined }}",
    "{{ x.a }} {{ x['b'] }} {{ x.list[0] }} {{ x.list[-1] }} [{{ x.list[9] }}] {{ x.list[1:] }} {{ x.list[::-1] }} {{ x.list[:-1] }} {{ 'hello'[1:3] }} {{ 'hello'[-1] }} {{ x.list[::2] }}{{ x.list[5:1] }}{{ x.list[-9:9] }}",
    "{{ '  pad '|trim }}|{{ '  pad '.strip() }}|{{ '  pad '.lstrip() }}|{{ '  pad '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abc'|upper }}|{{ 'ÀB'|lower }}|{{ 'hello world'|title }}|{{ 'hELLO w'|capitalize }}|{{ 'x-y'.title() }}",
    "{{ 'a,b,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ ' a  b '.split() }} {{ 'abc'.replace('b', 'X') }} {{ 'aaa'|replace('a', 'b', 2) }} {{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('bc', 'x')) }} {{ 'abc'.find('c') }}",
    "{{ [1,2,3]|length }} {{ 'héé'|length }} {{ x|length }} {{ [1,2,3]|first }} {{ [1,2,3]|last }} {{ [3,1]|join('-') }} {{ [1,2]|reverse|list }} {{ 'abc'|reverse }} {{ 'abc'|list }} {{ [1,1,2]|unique|list }}",
    "{{ x|tojson }} {{ 'é\\n\"q\"'|tojson }} {{ [1, 2.5, none, true]|tojson }} {{ {'a': [1, {'b': []}]}|tojson(indent=2) }}",
    "{{ items|map(attribute='n')|list }} {{ items|selectattr('n', 'gt', 1)|map(attribute='s')|join(',') }} {{ items|rejectattr('s', 'equalto', 'b')|list|length }} {{ [0,1,2]|select|list }} {{ [1,2,3]|select('odd')|list }} {{ [1,2]|reject('even')|list }} {{ ['a','b']|map('upper')|list }} {{ items|selectattr('s', 'defined')|list|length }}",
    "{% for k, v in x.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in x|items %}{{ k }}{% endfor %}{% for k in x %}{{ k }},{% endfor %} {{ x.get('a') }} {{ x.get('zz') }} {{ x.get('zz', 7) }} {{ x.keys()|list }} {% for k, v in {'b': 1, 'a': 2}|dictsort %}{{ k }}{{ v }}{% endfor %}",
    "{% for i in range(3) %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }} {% endfor %}{% for i in [] %}x{% else %}empty{% endfor %} {% for i in range(10) if i is odd %}{{ i }}{{ ',' if not loop.last }}{% endfor %} {{ range(2, 9, 3)|list }} {{ range(3, 0, -1)|list }}",
    "{% for i in [1,2,3] %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {{ loop.cycle('a', 'b') }};{% endfor %}",
    "{% set a = 1 %}{% for i in [1,2] %}{% set a = a + 1 %}{{ a }}{% endfor %}{{ a }} {% if true %}{% set a = 9 %}{% endif %}{{ a }}{% set ns = namespace(v=0) %}{% for i in [1,2,3] %}{% set ns.v = ns.v + i %}{% endfor %} {{ ns.v }} {% set p, q = 1, 2 %}{{ p }}{{ q }}{% set cap %}in {{ a }}{% endset %}[{{ cap }}]",
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n{{ 1 }}\n{{ 2 }}\n  {%- if true -%}  \n  d {%- endif %}  e {{- ' f ' -}}  g\n  {# note #}\n  h {#- x -#}   i\n  {%+ if true +%}\n j{% endif %}\n\n",
    "{% raw %}{{ not }} {% this %}{% endraw %} {{ '{{' }} {{ '%}' }} {{ {'a': {'b': 1}}['a']['b'] }}{{ {'a':{'b':2}}}}",
    "{{ 1 is number }} {{ 'a' is string }} {{ [] is iterable }} {{ {} is mapping }} {{ [] is sequence }} {{ true is boolean }} {{ 4 is divisibleby 2 }} {{ 3 is odd }} {{ 3 is eq 3 }} {{ 2 is in [1,2] }} {{ true is true }} {{ 1 is true }} {{ raise_exception is defined }} {{ 'x' is mapping }} {{ 1 is not string }} {{ none is not none }}",
    "{{ '5'|int + 1 }} {{ 'x'|int }} {{ 3.9|int }} {{ '2.5'|float }} {{ 5|string + 'a' }} {{ -3|abs }} {{ 'a\nb\n\nc'|indent(2) }} {{ 'a\nb'|indent(2, true) }}",
    "{% macro m(a, b=2) %}<{{ a }}{{ b }}{{ outer }}>{% endmacro %}{% set outer = 'o' %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}{{ m('x')|upper }}",
    "{{ \"dq 'x' \\\"y\\\"\" }} {{ 'tab\\tnl\\nbs\\\\ \\x41\\u00e9' }} {{ 'a' 'b' }} {{ ['it\\'s', \"q\\\"\"] }}",
    "{{ (1, 2) | list }} {{ ((1 + 2) * 3) }} {{ [1, 2,] }} {{ {'a': 1,} }} {{ - 3 + 5 }} {{ not not 1 }}",
    "{{ messages|length }}{% if messages|length > 1 and messages[-1]['role'] == 'user' %}U{% endif %}{{ messages | map(attribute='role') | join(' ') }} {{ (messages | selectattr('role', 'equalto', 'user') | list)[-1].content }}",
    "{% set t = 'a', 'b' %}{{ t|join }} {{ 1e3 }} {{ 2.5e-1 + 1_000 }} {{ -x.a|abs }} {{ -2 is number }} {{ (-2)|abs }} {{ - -2 }}",
    "{{ 'x' if missing.deep is defined else 'y' }}", "{{ missing.attr }}", "{{ missing + 1 }}", "{{ 'a' + 1 }}", "{{ [1][0].x.y }}", "{{ 1 // 0 }}", "{{ nofunction() }}",
    "{{ raise_exception('no') }}", "{% for x in 5 %}{% endfor %}", "{{ 'a' < 1 }}", "{{ none.foo is defined }}", "{% if x is nosuchtest %}{% endif %}", "{{ x|nosuchfilter }}", "{{ 'a'.nosuchmethod() }}",
    # What was once computed otherwise, or not at all.
    "{{ 1 < 3 < 2 }} {{ 3 > 2 > 1 }} {{ 1 < 2 == 2 }} {{ 1 in [1] == true }} {{ 'a' < 'b' < 'c' in 'cd' }}",
    "{{ x|tojson(indent=4) }}{{ x|tojson(sort_keys=true) }}{{ x|tojson(separators=(',', ':')) }}{{ 'é\u2028<'|tojson }}{{ 'é😀'|tojson(ensure_ascii=true) }}{{ 'é'|tojson(true) }}{{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }}{{ []|tojson(indent=2) }}{{ [[], {}]|tojson(indent=0) }}{{ 1e16|tojson }}{{ (1, (2,))|tojson(indent='--') }}",
    "{{ items|map(attribute='a.b')|list }}{{ [{'a': {'b': 1}}, {'a': {'b': [2, 3]}}]|map(attribute='a.b')|list }}{{ [{'a': {'b': [2, 3]}}]|map(attribute='a.b.1')|list }}{{ items|map(attribute='zz', default='-')|join }}{{ items|map('tojson')|join(' ') }}{{ ['a b', 'c']|map('replace', ' ', '_')|list }}{{ [[1], []]|map('first')|map('default', 'none')|list }}",
    "{{ items|sort(attribute='s', reverse=true)|map(attribute='n')|list }}{{ ['b', 'A', 'a']|sort }}{{ ['b', 'A', 'a']|sort(case_sensitive=true) }}{{ items|sum(attribute='n') }}{{ [1, 2]|sum(start=10) }}{{ ['b', 'A']|min }}{{ items|max(attribute='n') }}{{ []|max }}{{ items|groupby('s')|map('first')|join }}{{ items|groupby('n')|map(attribute='list')|list }}",
    "{{ 42.55|round }} {{ 42.55|round(1, 'floor') }} {{ 2.5|round }} {{ 2.675|round(2) }} {{ 5|round }} {{ 1234|round(-2) }} {{ '3.7'|float|round|int }} {{ 7.0 // 2 }} {{ -7.5 % 2 }} {{ 1e16 }} {{ 123456789012345.6 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 1 / 3 }} {{ 2 ** 0.5 }} {{ 1e22 }} {{ 5 % -3 }} {{ -0.0 }}",
    "{{ 'a,b;c'.rsplit(',', 1) }}{{ 'one\ntwo\r\nthree\n'.splitlines() }}{{ ' a  b c '.split(none, 1) }}{{ ' a  b c '.rsplit(none, 1) }}{{ 'a-b-c'.partition('-') }}{{ 'a-b-c'.rpartition('-') }}{{ '-'.join(['x', 'y']) }}{{ 'prefix'.removeprefix('pre') }}{{ 'abc'.center(8, '*') }}{{ '7'.zfill(3) }}{{ 'aXbX'.count('X') }}{{ \"they're bill's\".title() }}{{ \"they're bill's\"|title }}{{ 'ΑΣ'.lower() }}{{ 'ß'.upper() }}",
    "{{ '%s is %d years, %.2f %5s|%-5s|%x %%' % ('A', 3, 1.005, 'r', 'l', 255) }}{{ '%(a)s' % x }}{{ '{} {1}'.format(1, 2) if false else '{1} {0}'.format(1, 2) }}{{ '{:>6}|{:<6}|{:^6}|{:06.2f}|{:,}'.format('a', 'b', 'c', 3.14159, 1234567) }}{{ '{x[a]} {0.list}'.format(x, x=x) }}{{ '%s'|format('z') }}{{ '{!r}'.format('q') }}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}[{{ a }}]{% set a = 5 %}{% with a = a + 1 %}{{ a }}{% set a = 9 %}{% endwith %}{{ a }}{% filter upper %}up {{ a }}{% endfilter %}{% set q | trim | title %}  some words {% endset %}{{ q }}",
    "{% macro box(title) %}[{{ title }}: {{ caller('c') if caller else '-' }}]{% endmacro %}{{ box('x') }}{% call(v) box('y') %}in {{ v }}{% endcall %}{% macro all(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ all(1, 2, 3, k='v') }}{{ box }}{{ box.name }}",
    "{% for i in [1, 2] %}{{ q }}{% set q = i %}{{ q }}{% endfor %}{% for i in [1, 2] %}{% for j in [1] %}[{{ r }}]{% endfor %}{% set r = i %}{% endfor %}{% for i in [1, 2] %}{% if i == 2 %}{% set x = 'in' %}{% endif %}{{ x is string }}{% endfor %}{% macro late() %}{{ later }}{% endmacro %}{% set later = 7 %}{{ late() }}",
    "{% for a in [1, 1, 2] %}{{ loop.changed(a) }}{{ loop.cycle('x', 'y', 'z') }}{{ loop.depth }}{% endfor %}{% for n in [[1, [2]], [3]] recursive %}{{ loop.depth0 }}{{ n if n is number else loop(n) }}{% endfor %}{% for a in [1, 2] %}{% continue %}{% else %}else{% endfor %}{% for a in range(5) if a is even %}{{ a }}{{ loop.length }}{{ loop.nextitem }}{% endfor %}{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{{ {1: 'a', 'b': 2}[1] }}{{ {true: 'x'}[1] }}{{ {'items': 5}.items is defined }}{{ {'items': 5}['items'] }}{{ {'a': 1}.items() }}{{ {'a': 1}.keys() }}{{ {}.pop is defined }}{{ [1].append is defined }}{{ ''.__class__ is defined }}{{ (1, 'a') }}{{ (1,) }}{{ [1, 2] == (1, 2) }}{{ range(3) }}{{ range(3)|list }}{{ range(0, 9, 4)[1] }}{{ [1, [2, 3]][1][0] }}{{ [[1, 2]].0.1 }}",
    "{{ '<b>'|e }}{{ ('<b>'|e) + '<i>' }}{{ ['<'|e] }}{{ '<'|safe|e }}{{ '<'|e|forceescape }}{{ {'a': 1, 'b': none}|xmlattr }}{{ 'a b/c?'|urlencode }}{{ {'k': 'v w'}|urlencode }}{{ 1500000|filesizeformat }}{{ 'one two three'|truncate(9, leeway=0) }}{{ 'a b'|wordcount }}{{ [1, 2, 3]|batch(2, 0)|list }}{{ [1, 2, 3]|slice(2)|list }}{{ 'ab'|center(6) }}",
    "{% set m = [1, 2]|map('string') %}{{ m|join(',') }}[{{ m|join(',') }}]{{ [1, 2]|select('nosuch') is iterable }}{{ []|map('nosuch')|list }}{{ [0, 1]|select|list }}{{ [{'a': none}, {'a': 1}]|selectattr('a', 'none')|list|length }}{{ [{'a': 1}, {}]|selectattr('a', 'undefined')|list }}",
    "{{ 'x'|indent }}{{ 'a\n\nb'|indent(2, blank=true) }}{{ 'a\nb'|indent('> ', true) }}{{ 0x1f }}{{ 0b11 }}{{ 1_0 }}{{ '\x41\101\q' }}{{ 'a'\n'b' }}{{ -2 ** 2 }}{{ +true }}{{ not 1 == 2 }}{{ 1 if 0 }}{{ 'a' ~ none }}{{ 'a' if 'b' is filter else 'c' }}{{ 'upper' is filter }}",
    "{{ none|selectattr('a')|list }}", "{{ none|select|list }}", "{{ [1]|map('upper') }}", "{{ {'a': 1}|dictsort(by='x') }}", "{{ 'a'.format }}", "{% set x.y = 1 %}", "{{ namespace(_a=1) }}", "{% for loop in [1] %}{{ loop.index }}{% endfor %}", "{% macro m(a=1, b) %}{% endmacro %}", "{{ f(a=1, 2) }}", "{% break %}", "{{ x is defined is string }}", "{{ 'a'|nosuch if false }}", "{% if false %}{{ 'a'|nosuch }}{% endif %}ok",
    "{% if %}", "{% for x %}{% endfor %}", "{{ 1 + }}", "{% endif %}", "{% if true %}", "{{ 'open }}", "{# open", "{{ (1 }}", "{% nosuch %}", "{{ 1 2 }}", "{% set = 3 %}", "{% else %}",
]
VARIABLES = {
    "x": {"a": 1, "b": "two", "list": [1, "zwei", 3.5]},
    "items": [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}, {"n": 3, "s": "c"}],
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
}


class Generation(jinja2.ext.Extension):
    """As transformers marks what the model writes: a call of the block's body, so a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("written"), [], [], body).set_lineno(line)

    def written(self, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    """As transformers has it since 5: without names that begin with an underscore."""

    def __init__(*arguments, **named):
        self, members = arguments[0], dict(*arguments[1:], **named)
        for name in members:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(self, members)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def environment():
    """Jinja as transformers 5.24 sets it up (utils/chat_template_utils.py)."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    made.filters["tojson"] = tojson
    made.globals.update(
        raise_exception=refuse, strftime_now=lambda _: "", namespace=Namespace,
        dict=lambda *arguments, **named: dict(*arguments, **named))
    return made


ENVIRONMENT = environment()
# What Python prints with an address, or a class' own name, is another text each time: refused like an error.
UNTOLD = re.compile(r" at 0x[0-9a-f]+|jinja2\.|<class|Namespace", re.IGNORECASE)


def rendered(source, **variables):
    """The text, or null for what Jinja refuses."""
    try:
        # Jinja's filters can change a list although its sandbox forbids that to templates: `[1]|indent` does.
        text = ENVIRONMENT.from_string(source).render(**copy.deepcopy(variables))
    except Exception:
        return None
    return None if UNTOLD.search(text) else text


def random_cases(count, seed):
    """Small templates that Jinja gives a text for, and a quarter as many that it refuses."""
    texts, refused, number = [], [], seed
    while len(texts) < count:
        source = random_templates.template(number)
        number += 1
        if len(source) > 300:
            continue
        text = rendered(source, **random_templates.VARIABLES)
        if text is None:
            if len(refused) < count // 4:
                refused.append([source, None])
        elif text.strip() and len(text) < 300:
            texts.append([source, text])
    return texts + refused


def main():
    conversations = [[{"role": role, "content": content} for role, content in c] for c in CONVERSATIONS]
    families = []
    for name, source in FAMILIES.items():
        prompts = [
            [rendered(source, messages=c, add_generation_prompt=add, bos_token="<s>", eos_token="</s>", tools=None, documents=None)
             for add in (True, False)] for c in conversations]
        families.append({"name": name, "template": source, "prompts": prompts})
    expressions = [{"template": e, "text": rendered(e, **VARIABLES)} for e in EXPRESSIONS]
    chance = random_cases(1200, seed=1_000_000)
    parts = {"conversations": conversations, "families": families, "variables": VARIABLES, "expressions": expressions,
             "random_variables": random_templates.VARIABLES, "random": chance}
    target = pathlib.Path(__file__).resolve().parent / "chat_template_cases.json"
    target.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in parts.items()) + "\n}\n")
    refused = sum(e["text"] is None for e in expressions)
    print(f"{target}: {len(families)} families, {len(expressions)} expressions ({refused} refused), {len(chance)} random")


main()
