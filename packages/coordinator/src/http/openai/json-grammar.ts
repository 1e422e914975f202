/**
 * Any JSON object, in llama.cpp's GBNF: its own `grammars/json.gbnf`, where the white space is kept short, since a model
 * that may go on with spaces for ever sometimes does.
 */
export const jsonObjectGrammar = String.raw`
root   ::= object
value  ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" space (member ("," space member)*)? space "}"
member ::= string ":" space value
array  ::= "[" space (value ("," space value)*)? space "]"
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt/] | "u" [0-9a-fA-F]{4}))* "\""
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?
space  ::= " "? | "\n" [ \t]{0,20}
`;
