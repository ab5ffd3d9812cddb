package ops

import "context"

// QueenHandler does the queen's operations, one method each. A method is given
// an operation that has been validated and a context that ends when the job is
// cancelled; errors without a code reach the person as internal errors.
type QueenHandler interface {
	Status(context.Context, Status) (QueenReport, error)
	SSHTest(context.Context, SSHTest) (SSHReport, error)
	HiveInstall(context.Context, HiveInstall) (Hive, error)
	HiveUninstall(context.Context, HiveUninstall) (HiveRemoved, error)
	HiveUpdate(context.Context, HiveUpdate) (Hive, error)
	HiveStart(context.Context, HiveStart) (Hive, error)
	HiveStop(context.Context, HiveStop) (Hive, error)
	HiveList(context.Context, HiveList) (Hives, error)
	HiveGet(context.Context, HiveGet) (Hive, error)
	HiveStatus(context.Context, HiveStatus) (Hive, error)
	KeyCreate(context.Context, KeyCreate) (Key, error)
	KeyList(context.Context, KeyList) (Keys, error)
	KeyRevoke(context.Context, KeyRevoke) (KeyEnded, error)
	Usage(context.Context, Usage) (UsageReport, error)
	ModelCopy(context.Context, ModelCopy) (Model, error)
	ModelAlias(context.Context, ModelAlias) (Alias, error)
	ModelAliases(context.Context, ModelAliases) (Aliases, error)
	ModelUnalias(context.Context, ModelUnalias) (AliasRemoved, error)
	QueenDrain(context.Context, QueenDrain) (DrainState, error)
	QueenResume(context.Context, QueenResume) (DrainState, error)
	HiveDrain(context.Context, HiveDrain) (DrainState, error)
	HiveResume(context.Context, HiveResume) (DrainState, error)
	Explain(context.Context, Explain) (Explanation, error)
}

// HiveHandler does a hive's operations, one method each, under the same rules
// as [QueenHandler].
type HiveHandler interface {
	WorkerSpawn(context.Context, WorkerSpawn) (Worker, error)
	WorkerList(context.Context, WorkerList) (Workers, error)
	WorkerGet(context.Context, WorkerGet) (Worker, error)
	WorkerDelete(context.Context, WorkerDelete) (WorkerDeleted, error)
	ModelDownload(context.Context, ModelDownload) (Model, error)
	ModelList(context.Context, ModelList) (Models, error)
	ModelGet(context.Context, ModelGet) (Model, error)
	ModelDelete(context.Context, ModelDelete) (ModelDeleted, error)
	EngineList(context.Context, EngineList) (Engines, error)
	EngineInstall(context.Context, EngineInstall) (Engine, error)
	EngineRemove(context.Context, EngineRemove) (EngineRemoved, error)
	ModelPin(context.Context, ModelPin) (Model, error)
	ModelUnpin(context.Context, ModelUnpin) (Model, error)
	Infer(context.Context, Infer) (Answer, error)
}
