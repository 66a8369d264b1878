//! What every controller stands on: shared informers with listers, work queues, the reconcile loop, events, and
//! leader election.
