// Package ops is rbee's protocol: every operation that can be asked for, every
// event a running operation emits, the errors both ends share, and their JSON.
//
// An operation is a value of the sealed union [Op]. It has two arms: a
// [QueenOp] is done by the queen, a [HiveOp] is forwarded to the hive it names.
// Each arm has one handler interface with a method per operation
// ([QueenHandler], [HiveHandler]), so a mode that forgets an operation does not
// compile. On the wire an operation is one flat JSON object whose "operation"
// field is its snake_case name.
//
// To add an operation: write its struct (documented fields, Name, Validate, the
// dispatch method) and result type, list it in [All], add its method to the
// arm's handler interface, do it in the mode, and give it a keeper command.
// Tests fail for each step that is forgotten.
//
// ops does no input or output, knows no transport and imports the standard
// library only. What it holds for running work is the hook by which work
// narrates ([Narrate], [Progress], [Emit]); package job fills it.
package ops
