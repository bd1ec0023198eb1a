// Package planning makes placement problems of the rows of the configuration
// database, for all who plan: the scheduler, whose verbs verify the moves
// again, and the API, whose answers are previews. It also keeps the measured
// loads of the last minutes in memory: samples are no rows.
package planning
