//! How steps follow each other: one after the other, and in branches that run at the same time.

use super::finding::{Reader, listed};
use super::tree::{Node, Tree};
use crate::definition::Node as Flow;

/// How deep `parallel` may lie within `parallel`: deeper than this nobody can say any more what waits for what.
pub const PARALLEL_DEPTH_MAX: usize = 4;

/// One branch of one `parallel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Branch {
    /// Which `parallel`, in the order of the document.
    parallel: usize,
    /// Which of its branches.
    branch: usize,
}

/// A step and the branches it stands in, the outermost first.
#[derive(Debug, Clone)]
pub(super) struct Placed<'n> {
    pub(super) node: &'n Node,
    pub(super) branches: Vec<Branch>,
}

/// The steps of a document.
#[derive(Debug, Default)]
pub(super) struct Layout<'n> {
    /// In the order of the document.
    pub(super) steps: Vec<Placed<'n>>,
    /// How they follow each other; `None` when that cannot be said.
    pub(super) flow: Option<Vec<Flow>>,
    parallels: usize,
}

/// Whether two places are in different branches of one `parallel`, so that neither is surely done before the other.
pub(super) fn beside(left: &[Branch], right: &[Branch]) -> bool {
    let parting = left.iter().zip(right).find(|(left, right)| left != right);
    parting.is_some_and(|(left, right)| left.parallel == right.parallel)
}

impl Reader<'_> {
    /// Finds all steps, before any of them is read.
    pub(super) fn layout<'n>(&mut self, steps: &'n Node) -> Layout<'n> {
        let mut layout = Layout::default();
        layout.flow = self.sequence(steps, &mut Vec::new(), &mut layout);
        layout
    }

    fn sequence<'n>(
        &mut self,
        node: &'n Node,
        branches: &mut Vec<Branch>,
        layout: &mut Layout<'n>,
    ) -> Option<Vec<Flow>> {
        let Tree::List(items) = &node.tree else { return self.wrong_type(node, "`steps`", "a list of steps") };
        if items.is_empty() {
            let message = match branches.is_empty() {
                true => "a saga without steps does nothing; write at least one",
                false => "a branch without steps does nothing; write at least one, or take the branch away",
            };
            return self.report(node.at, "no_steps", message);
        }
        let flow: Vec<Option<Flow>> = items.iter().map(|item| self.flow_item(item, branches, layout)).collect();
        flow.into_iter().collect()
    }

    /// A step, or a `parallel`.
    fn flow_item<'n>(&mut self, item: &'n Node, branches: &mut Vec<Branch>, layout: &mut Layout<'n>) -> Option<Flow> {
        if let Tree::Map(members) = &item.tree
            && let Some(parallel) = item.get("parallel")
        {
            for (key, _) in members.iter().filter(|(key, _)| key.text != "parallel") {
                let message = format!(
                    "`parallel` stands alone and has no `{}` beside it; give that to the steps in its branches",
                    key.text
                );
                self.report::<()>(key.at, "not_alone", message);
            }
            return self.parallel(parallel, branches, layout);
        }
        layout.steps.push(Placed { node: item, branches: branches.clone() });
        Some(Flow::Step(layout.steps.len() - 1))
    }

    fn parallel<'n>(&mut self, node: &'n Node, branches: &mut Vec<Branch>, layout: &mut Layout<'n>) -> Option<Flow> {
        if branches.len() == PARALLEL_DEPTH_MAX {
            let message = format!(
                "this `parallel` lies within {PARALLEL_DEPTH_MAX} others; at most {PARALLEL_DEPTH_MAX} deep is taken: \
                 make the inner one a saga of its own"
            );
            self.report::<()>(node.at, "too_deep", message);
        }
        let Tree::List(items) = &node.tree else {
            return self.wrong_type(node, "`parallel`", "a list of branches: a step each, or `steps: […]`");
        };
        if items.len() < 2 {
            let message = format!(
                "`parallel` has {}; write at least two, or put the steps where it stands",
                if items.is_empty() { "no branch" } else { "but one branch" }
            );
            self.report::<()>(node.at, "too_few_branches", message);
        }
        let parallel = layout.parallels;
        layout.parallels += 1;
        let mut read = Vec::with_capacity(items.len());
        for (branch, item) in items.iter().enumerate() {
            branches.push(Branch { parallel, branch });
            read.push(self.branch(item, branches, layout));
            branches.pop();
        }
        read.into_iter().collect::<Option<Vec<_>>>().map(Flow::Parallel)
    }

    fn branch<'n>(&mut self, item: &'n Node, branches: &mut Vec<Branch>, layout: &mut Layout<'n>) -> Option<Vec<Flow>> {
        let (Tree::Map(members), Some(steps)) = (&item.tree, item.get("steps")) else {
            return Some(vec![self.flow_item(item, branches, layout)?]);
        };
        let others: Vec<&str> =
            members.iter().map(|(key, _)| key.text.as_str()).filter(|key| *key != "steps").collect();
        if !others.is_empty() {
            let message =
                format!("a branch of several steps is `steps: […]` alone; give {} to the steps in it", listed(&others));
            self.report::<()>(item.at, "not_alone", message);
        }
        self.sequence(steps, branches, layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_branches_of_the_same_parallel_are_beside_each_other() {
        let at = |path: &[(usize, usize)]| -> Vec<Branch> {
            path.iter().map(|&(parallel, branch)| Branch { parallel, branch }).collect()
        };
        assert!(beside(&at(&[(0, 0)]), &at(&[(0, 1)])));
        assert!(beside(&at(&[(0, 0), (1, 0)]), &at(&[(0, 1)])));
        assert!(beside(&at(&[(0, 0), (1, 0)]), &at(&[(0, 0), (1, 1)])));
        assert!(!beside(&at(&[(0, 0)]), &at(&[(0, 0)])));
        assert!(!beside(&at(&[(0, 0)]), &at(&[(0, 0), (1, 1)])));
        assert!(!beside(&at(&[(0, 0), (1, 0)]), &at(&[(0, 0), (2, 1)])));
        assert!(!beside(&at(&[(0, 0)]), &at(&[(1, 1)])));
        assert!(!beside(&at(&[]), &at(&[(0, 1)])));
    }
}
