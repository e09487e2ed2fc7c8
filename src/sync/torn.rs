//! After a side's computer went down: what it has where sync or a person had written shortly before is what the disk
//! was left with, not what anybody wants.

use super::controller::Controller;
use super::path::TreePath;
use super::reconcile::Side;
use super::tree::{Leaf, Node};

impl Controller {
    /// Takes what a side has at paths that had not been on its disk for what was agreed on: so the other side's goes
    /// there again, and what is torn comes from there never. Both sides have to be known.
    pub(super) fn mend_torn(&mut self) {
        let went_down = |known: Option<_>, told: Option<_>| known.is_some() && told.is_some() && known != told;
        let here = went_down(self.lives.here, self.told_lives.here);
        let there = went_down(self.lives.there, self.told_lives.there);
        let mut torn = 0;
        for (side, went_down) in [(Side::Here, here), (Side::There, there)] {
            for (path, agreed) in if went_down { self.unsettled.all(side) } else { Vec::new() } {
                torn += u64::from(self.mend(side, &path, agreed.as_ref(), here && there));
            }
        }
        if torn > 0 {
            self.note(&format!("a computer went down: what it lost of {torn} files and folders is sent again"));
        }
        if (self.lives.here, self.lives.there) != (self.told_lives.here, self.told_lives.there) {
            (self.lives.here, self.lives.there) = (self.told_lives.here, self.told_lives.there);
            self.save();
        }
    }

    /// Returns whether something was lost there.
    fn mend(&mut self, side: Side, path: &TreePath, agreed: Option<&Leaf>, both: bool) -> bool {
        let now = self.known(side).tree.get(path).cloned();
        if matches!(now, Some(Node::Apart(_))) || now.as_ref().and_then(Node::leaf).as_ref() == agreed {
            return false;
        }
        let whole_there = self.known(side.other()).tree.get(path).and_then(Node::leaf).as_ref() == agreed;
        // If both went down and neither has what was agreed on, nobody but a person can say which one is better.
        let lost = now.and_then(|now| now.leaf()).filter(|_| whole_there || !both);
        if lost != Some(Leaf::Folder) {
            self.base.set(path, None);
        }
        self.base.set_leaf(path, lost.as_ref());
        true
    }
}
