#!/usr/bin/env python3
"""Records what Jinja, set up as Hugging Face's apply_chat_template does, makes of chat templates of the common families
and of many small expressions: Tests/Oracle/chat_template_cases.json.

    python3 -m venv venv && venv/bin/pip install jinja2
    venv/bin/python Tests/Oracle/make_chat_template_cases.py

The templates are written for this test in the manner of each family; smollm2's is the one in its GGUF file.
"""

import json
import pathlib

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

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
    "{% if %}", "{% for x %}{% endfor %}", "{{ 1 + }}", "{% endif %}", "{% if true %}", "{{ 'open }}", "{# open", "{{ (1 }}", "{% nosuch %}", "{{ 1 2 }}", "{% set = 3 %}", "{% else %}",
]
VARIABLES = {
    "x": {"a": 1, "b": "two", "list": [1, "zwei", 3.5]},
    "items": [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}, {"n": 3, "s": "c"}],
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
}


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def environment():
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)

    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda _: ""
    return made


def rendered(source, **variables):
    """The text, or null for what Jinja refuses."""
    try:
        return environment().from_string(source).render(**variables)
    except Exception:
        return None


def main():
    conversations = [[{"role": role, "content": content} for role, content in c] for c in CONVERSATIONS]
    families = []
    for name, source in FAMILIES.items():
        prompts = [
            [rendered(source, messages=c, add_generation_prompt=add, bos_token="<s>", eos_token="</s>", tools=None, documents=None)
             for add in (True, False)] for c in conversations]
        families.append({"name": name, "template": source, "prompts": prompts})
    expressions = [{"template": e, "text": rendered(e, **VARIABLES)} for e in EXPRESSIONS]
    parts = {"conversations": conversations, "families": families, "variables": VARIABLES, "expressions": expressions}
    target = pathlib.Path(__file__).resolve().parent / "chat_template_cases.json"
    target.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in parts.items()) + "\n}\n")
    refused = sum(e["text"] is None for e in expressions)
    print(f"{target}: {len(families)} families, {len(expressions)} expressions ({refused} refused)")


main()
