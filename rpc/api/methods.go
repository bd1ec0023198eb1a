package api

import "yagura/fsm/schema"

// Class says which manager answers a method, and whether it may be asked again.
type Class int

// The classes of methods.
const (
	// Read is answered at the read level that the caller asks for.
	Read Class = iota + 1
	// Write is answered by the leader and changes rows: with a request id it
	// is applied at most once, so a lost reply is asked for again.
	Write
	// Repeatable is answered by the leader, without a request id: asking twice does no harm.
	Repeatable
	// Once is answered by the leader and is never sent a second time when it
	// may have been carried out.
	Once
	// Local is answered by the manager that was reached, leader or not.
	Local
)

// Who may call a method, beside the roles of schema: any role can be met by a
// higher one.
const (
	Public   = "public"   // nobody has to log in
	Managers = "managers" // other managers only
)

// Method is what the edge knows of one method.
type Method struct {
	Class Class
	Role  string // least role: Public, Managers or a role of schema
}

// methods is THE list of methods by full name. A test holds that it is complete.
var methods = map[string]Method{
	Auth_Login_FullMethodName:          {Repeatable, Public},
	Auth_Logout_FullMethodName:         {Repeatable, schema.RoleObserver},
	Auth_WhoAmI_FullMethodName:         {Read, schema.RoleObserver},
	Auth_ChangePassword_FullMethodName: {Write, schema.RoleObserver},
	Auth_ListUsers_FullMethodName:      {Read, schema.RoleAdministrator},
	Auth_SetUser_FullMethodName:        {Write, schema.RoleAdministrator},
	Auth_DeleteUser_FullMethodName:     {Write, schema.RoleAdministrator},

	Inventory_Apply_FullMethodName:          {Write, schema.RoleAdministrator},
	Inventory_Get_FullMethodName:            {Read, schema.RoleObserver},
	Inventory_List_FullMethodName:           {Read, schema.RoleObserver},
	Inventory_Unset_FullMethodName:          {Write, schema.RoleAdministrator},
	Inventory_Collect_FullMethodName:        {Write, schema.RoleOperator},
	Inventory_GroupMachines_FullMethodName:  {Read, schema.RoleObserver},
	Inventory_SetMaintenance_FullMethodName: {Write, schema.RoleOperator},
	Inventory_ShowPolicy_FullMethodName:     {Read, schema.RoleObserver},
	Inventory_SetPolicy_FullMethodName:      {Write, schema.RoleAdministrator},
	Inventory_PreviewPolicy_FullMethodName:  {Read, schema.RoleObserver},
	Inventory_Arm_FullMethodName:            {Write, schema.RoleOperator},
	Inventory_Performance_FullMethodName:    {Read, schema.RoleObserver},

	Operations_Power_FullMethodName:          {Write, schema.RoleOperator},
	Operations_AddVM_FullMethodName:          {Write, schema.RoleOperator},
	Operations_DeleteVM_FullMethodName:       {Write, schema.RoleOperator},
	Operations_MigrateVM_FullMethodName:      {Write, schema.RoleOperator},
	Operations_Evacuate_FullMethodName:       {Write, schema.RoleOperator},
	Operations_ChangeUse_FullMethodName:      {Write, schema.RoleOperator},
	Operations_ReplaceMachine_FullMethodName: {Write, schema.RoleOperator},
	Operations_AddMachines_FullMethodName:    {Write, schema.RoleOperator},
	Operations_RemoveMachines_FullMethodName: {Write, schema.RoleOperator},
	Operations_Deploy_FullMethodName:         {Write, schema.RoleOperator},
	Operations_ChangePool_FullMethodName:     {Write, schema.RoleOperator},
	Operations_DestroyVM_FullMethodName:      {Write, schema.RoleOperator},

	Placement_Plan_FullMethodName:    {Read, schema.RoleObserver},
	Placement_Explain_FullMethodName: {Read, schema.RoleObserver},

	Jobs_ListJobs_FullMethodName:    {Read, schema.RoleObserver},
	Jobs_GetJob_FullMethodName:      {Read, schema.RoleObserver},
	Jobs_WatchJob_FullMethodName:    {Read, schema.RoleObserver},
	Jobs_CancelJob_FullMethodName:   {Write, schema.RoleOperator},
	Jobs_ResumeJob_FullMethodName:   {Write, schema.RoleOperator},
	Jobs_RollbackJob_FullMethodName: {Write, schema.RoleOperator},
	Jobs_ListLocks_FullMethodName:   {Read, schema.RoleObserver},

	Events_ListNotices_FullMethodName:  {Read, schema.RoleObserver},
	Events_TestReceiver_FullMethodName: {Write, schema.RoleOperator},
	Events_GetNotice_FullMethodName:    {Read, schema.RoleObserver},
	Events_ListEvents_FullMethodName:   {Read, schema.RoleObserver},
	Events_GetEvent_FullMethodName:     {Read, schema.RoleObserver},
	Events_WatchEvents_FullMethodName:  {Read, schema.RoleObserver},
	Events_ListAudit_FullMethodName:    {Read, schema.RoleObserver},
	Events_TestTrap_FullMethodName:     {Repeatable, schema.RoleOperator},
	Events_WatchAudit_FullMethodName:   {Read, schema.RoleObserver},
	Events_WatchChanges_FullMethodName: {Local, schema.RoleObserver},

	Cluster_ListNodes_FullMethodName:       {Local, schema.RoleObserver},
	Cluster_RemoveNode_FullMethodName:      {Once, schema.RoleAdministrator},
	Cluster_Transfer_FullMethodName:        {Once, schema.RoleAdministrator},
	Cluster_Status_FullMethodName:          {Local, schema.RoleObserver},
	Cluster_SaveSnapshot_FullMethodName:    {Read, schema.RoleAdministrator},
	Cluster_RestoreSnapshot_FullMethodName: {Once, schema.RoleAdministrator},

	Peer_RecordEvents_FullMethodName:  {Repeatable, Managers},
	Peer_Join_FullMethodName:          {Repeatable, Managers},
	Peer_Leave_FullMethodName:         {Repeatable, Managers},
	Peer_NodeStatus_FullMethodName:    {Local, Managers},
	Peer_LookAtRun_FullMethodName:     {Local, Managers},
	Peer_LookAtSamples_FullMethodName: {Local, Managers},
}

// LookupMethod finds a method by its full name, such as
// "/yagura.api.v1.Jobs/GetJob".
func LookupMethod(fullName string) (Method, bool) {
	m, ok := methods[fullName]
	return m, ok
}

// Metadata keys of requests and replies (the head of api.proto says what they mean).
const (
	KeyAuthorization = "authorization"
	KeyConsistency   = "yagura-consistency"
	KeyMinIndex      = "yagura-min-index"
	KeyRequestID     = "yagura-request-id"
	KeyReason        = "yagura-reason"
	KeyIndex         = "yagura-index"
	KeyAge           = "yagura-age-ms"
	KeyNode          = "yagura-node"
	KeyLeader        = "yagura-leader" // address of the leader, when the call was forwarded to it
)

// Read levels, the values of KeyConsistency.
const (
	Stale         = "stale"
	LeaderRead    = "leader"
	Linear        = "linear"
	BearerPrefix  = "Bearer "
	MaxRequestID  = 128  // bytes
	MaxReason     = 1024 // bytes
	DefaultPort   = "26102"
	MaxRequest    = 8 << 20  // bytes of one request
	MaxReply      = 64 << 20 // bytes of one reply: 10,000 machines are some 10 MB
	SnapshotChunk = 256 << 10
)
