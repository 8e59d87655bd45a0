package nightjar;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.rules.Rule;
import org.apache.spark.sql.catalyst.trees.TreeNode;
import scala.collection.immutable.List;
import scala.collection.immutable.Nil$;
import scala.collection.immutable.Seq;
import scala.runtime.AbstractFunction1;

/** Adds a rule to each session: SHOW TABLES and SHOW VIEWS return the name in the first column, as in Hive. Hive clients
 * (PyHive, and so Superset) read that column, which is the schema in Spark. */
public final class NameFirst extends AbstractFunction1 {
  private static final Set LISTINGS = new HashSet(Arrays.asList(new Object[] {
    "ShowTables", "ShowTablesCommand", "ShowViews", "ShowViewsCommand"
  }));

  public Object apply(Object session) {
    return new Reorder();
  }

  public static final class Reorder extends Rule {
    public TreeNode apply(TreeNode plan) {
      if (!LISTINGS.contains(plan.getClass().getSimpleName())) {
        return plan;
      }
      Seq columns = ((LogicalPlan) plan).output();
      if (columns.size() != 3) { // SHOW TABLE EXTENDED, whose result differs in Hive anyway
        return plan;
      }
      List reordered = Nil$.MODULE$.$colon$colon(columns.apply(2)).$colon$colon(columns.apply(0));
      return new Project(reordered.$colon$colon(columns.apply(1)), (LogicalPlan) plan);
    }
  }
}
